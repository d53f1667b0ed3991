import torch

from runwright_components.train.augment import random_crop, random_flip


def test_crop_shifts_each_image_by_an_eighth_at_most() -> None:
    torch.manual_seed(0)
    pixels = torch.arange(16.0).view(1, 1, 1, 16).expand(200, 2, 16, 16)
    cropped = random_crop(pixels)
    assert cropped.shape == pixels.shape
    shifts = cropped[:, 0, 0, 8] - 8
    assert set(shifts.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert torch.equal(cropped[:, 0], cropped[:, 1])


def test_crop_keeps_images_too_small_to_shift() -> None:
    pixels = torch.rand(3, 1, 1, 1)
    assert torch.equal(random_crop(pixels), pixels)


def test_flip_mirrors_about_half_of_the_images() -> None:
    torch.manual_seed(0)
    pixels = torch.tensor([1.0, 2.0]).view(1, 1, 1, 2).expand(1000, 1, 1, 2)
    mirrored = (random_flip(pixels)[:, 0, 0, 0] == 2).sum().item()
    assert 400 < mirrored < 600


def test_augmentation_follows_the_global_generator() -> None:
    pixels = torch.rand(8, 3, 16, 16)
    torch.manual_seed(5)
    first = random_flip(random_crop(pixels))
    torch.manual_seed(5)
    assert torch.equal(first, random_flip(random_crop(pixels)))
