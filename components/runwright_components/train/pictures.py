"""Random changes of image batches [N, C, H, W] in [0, 1], each image its own, drawn from torch's CPU generator.

Whole batches are changed at once, on their own device: what torchvision's v2 transforms do to one image at a time.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

ERASED_AREA = (0.02, 0.33)  # share of the image
ERASED_RATIO = (0.3, 1 / 0.3)  # of the sides
_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as torchvision has it


def random_crop(pixels: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its side, the border filled by reflection."""
    count, channels, height, width = pixels.shape
    up, left = max(1, height // 8), max(1, width // 8)
    if height <= up or width <= left:
        return pixels
    padded = functional.pad(pixels, (left, left, up, up), mode="reflect")
    tops = torch.randint(0, 2 * up + 1, (count, 1)) + torch.arange(height)
    lefts = torch.randint(0, 2 * left + 1, (count, 1)) + torch.arange(width)
    rows = torch.arange(count).view(-1, 1, 1, 1)
    planes = torch.arange(channels).view(1, -1, 1, 1)
    places = (rows, planes, tops.view(count, 1, height, 1), lefts.view(count, 1, 1, width))
    return padded[tuple(place.to(pixels.device) for place in places)]


def random_flip(pixels: Tensor) -> Tensor:
    """Mirror each image left to right with probability one half."""
    flipped = (torch.rand(len(pixels)) < 0.5).to(pixels.device).view(-1, 1, 1, 1)
    return torch.where(flipped, pixels.flip(-1), pixels)


def random_rotation(pixels: Tensor, degrees: float) -> Tensor:
    """Turn each image by up to `degrees` either way; what comes from outside is filled by reflection."""
    return rotated(pixels, _between(-math.radians(degrees), math.radians(degrees), len(pixels), pixels.device))


def rotated(pixels: Tensor, angles: Tensor) -> Tensor:
    """Each image turned counter-clockwise around its middle by its angle [N] in radians, bilinear."""
    height, width = pixels.shape[2:]
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # Coordinates run from -1 to 1 along both sides, whatever their lengths.
    first = torch.stack([cosine, -sine * (height / width), zero], dim=1)
    second = torch.stack([sine * (width / height), cosine, zero], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def random_color(pixels: Tensor, share: float) -> Tensor:
    """Change brightness, contrast and saturation of each image by factors in [1 - share, 1 + share]."""
    brightness, contrast, saturation = (
        _between(1 - share, 1 + share, len(pixels), pixels.device).view(-1, 1, 1, 1) for _ in range(3)
    )
    return colored(pixels, brightness, contrast, saturation)


def colored(pixels: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """`pixels` with the three factors [N, 1, 1, 1], one after the other, by torchvision's definitions."""
    pixels = (pixels * brightness).clamp(0, 1)
    mean = _grey(pixels).mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean.lerp(pixels, contrast).clamp(0, 1)
    if pixels.shape[1] == 1:
        return pixels
    return _grey(pixels).expand_as(pixels).lerp(pixels, saturation).clamp(0, 1)


def random_erase(pixels: Tensor, share: float) -> Tensor:
    """Blank a rectangle in a `share` of the images with the image's mean (Zhong et al. 2020)."""
    count, _, height, width = pixels.shape
    area = _between(*ERASED_AREA, count) * (height * width)
    ratio = _between(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1]), count).exp()
    chosen = torch.rand(count) < share
    inside = _inside((area * ratio).sqrt(), height) & chosen.view(-1, 1)
    mask = inside.unsqueeze(2) & _inside((area / ratio).sqrt(), width).unsqueeze(1)
    return torch.where(mask.unsqueeze(1).to(pixels.device), pixels.mean(dim=(2, 3), keepdim=True), pixels)


def random_policy(pixels: Tensor, name: Literal["trivialaugment", "randaugment"]) -> Tensor:
    """torchvision's TrivialAugmentWide (Müller and Hutter 2021) or RandAugment (Cubuk et al. 2020), image by image."""
    from torchvision.transforms import v2

    policy = v2.TrivialAugmentWide() if name == "trivialaugment" else v2.RandAugment()
    images = (pixels * 255).round().to("cpu", torch.uint8)
    changed = torch.stack([policy(image) for image in images])
    return changed.to(pixels.device, pixels.dtype) / 255


def _inside(length: Tensor, side: int) -> Tensor:
    """Which places [N, side] lie in a stretch of about `length` [N] that begins anywhere it fits."""
    length = length.round().clamp(1, side)
    start = (torch.rand(len(length)) * (side - length + 1)).floor().view(-1, 1)
    places = torch.arange(side)
    return (places >= start) & (places < start + length.view(-1, 1))


def _grey(pixels: Tensor) -> Tensor:
    if pixels.shape[1] == 1:
        return pixels
    weights = torch.tensor(_GREY, device=pixels.device, dtype=pixels.dtype).view(1, 3, 1, 1)
    return (pixels * weights).sum(dim=1, keepdim=True)


def _between(low: float, high: float, count: int, device: torch.device | str = "cpu") -> Tensor:
    return (low + (high - low) * torch.rand(count)).to(device)
