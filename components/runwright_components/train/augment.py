"""Augmentation of image batches, drawn from torch's global generator, whose state checkpoints keep."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def random_crop(pixels: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its side, the border filled by reflection: [N, C, H, W] to the same."""
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
