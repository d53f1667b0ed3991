"""Changes of whole batches against what they say they do, and against torchvision's of one image."""

import math

import pytest
import torch
from torchvision.transforms import v2

from runwright_components.train import pictures


def test_crop_shifts_each_image_by_an_eighth_at_most() -> None:
    torch.manual_seed(0)
    pixels = torch.arange(16.0).view(1, 1, 1, 16).expand(200, 2, 16, 16)
    cropped = pictures.random_crop(pixels)
    assert cropped.shape == pixels.shape
    shifts = cropped[:, 0, 0, 8] - 8
    assert set(shifts.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert torch.equal(cropped[:, 0], cropped[:, 1])


def test_crop_keeps_images_too_small_to_shift() -> None:
    pixels = torch.rand(3, 1, 1, 1)
    assert torch.equal(pictures.random_crop(pixels), pixels)


def test_flip_mirrors_about_half_of_the_images() -> None:
    torch.manual_seed(0)
    pixels = torch.tensor([1.0, 2.0]).view(1, 1, 1, 2).expand(1000, 1, 1, 2)
    mirrored = (pictures.random_flip(pixels)[:, 0, 0, 0] == 2).sum().item()
    assert 400 < mirrored < 600


@pytest.mark.parametrize("sides", [(12, 12), (8, 16)])
def test_rotation_is_torchvisions(sides: tuple[int, int]) -> None:
    pixels = torch.zeros(2, 3, *sides)
    pixels[:, :, 3:5, 3:6] = torch.rand(3, 1, 1)
    turned = pictures.rotated(pixels, torch.tensor([0.0, math.radians(20)]))
    expected = v2.functional.rotate(pixels[1], 20, interpolation=v2.InterpolationMode.BILINEAR)
    assert torch.allclose(turned[0], pixels[0], atol=1e-5)
    assert torch.allclose(turned[1], expected, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_torchvisions(channels: int) -> None:
    torch.manual_seed(0)
    pixels = torch.rand(2, channels, 6, 6)
    factors = [torch.tensor(pair).view(2, 1, 1, 1) for pair in ((0.6, 1.3), (1.4, 0.7), (0.5, 1.5))]
    changed = pictures.colored(pixels, *factors)
    for image, result, (brightness, contrast, saturation) in zip(pixels, changed, torch.stack(factors, 1), strict=True):
        expected = v2.functional.adjust_brightness(image, float(brightness))
        expected = v2.functional.adjust_contrast(expected, float(contrast))
        expected = v2.functional.adjust_saturation(expected, float(saturation))
        assert torch.allclose(result, expected, atol=1e-3)


def test_erasing_blanks_one_rectangle_in_its_share_of_the_images() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(400, 3, 16, 16)
    changed = (pictures.random_erase(pixels, 0.25) != pixels).any(dim=1)
    hit = changed.any(dim=(1, 2))
    assert 60 < hit.sum() < 140
    areas = changed[hit].sum(dim=(1, 2)) / 256
    assert 0.005 < areas.min() < areas.max() < 0.45
    one = changed[hit][0]
    assert one.sum() == one.any(dim=0).sum() * one.any(dim=1).sum(), "a rectangle"


@pytest.mark.parametrize("name", ["trivialaugment", "randaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_change_each_image_by_itself(name: str, channels: int) -> None:
    torch.manual_seed(0)
    pixels = torch.rand(1, channels, 16, 16).expand(12, channels, 16, 16)
    changed = pictures.random_policy(pixels, name)
    assert changed.shape == pixels.shape
    assert changed.dtype == pixels.dtype
    assert 0 <= changed.min() <= changed.max() <= 1
    assert len({image.numpy().tobytes() for image in changed}) > 3
