"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): each image with another one of its batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Blend:
    """`partner` [N] is the target of the image mixed in; an image keeps `share` of itself."""

    partner: Tensor
    share: float


def mixup(pixels: Tensor, target: Tensor, alpha: float) -> tuple[Tensor, Blend]:
    """Every image of [N, C, H, W] averaged with another one, by a share drawn from Beta(alpha, alpha)."""
    other = torch.randperm(len(pixels)).to(pixels.device)
    share = _share(alpha)
    return pixels[other].lerp(pixels, share), Blend(target[other], share)


def cutmix(pixels: Tensor, target: Tensor, alpha: float) -> tuple[Tensor, Blend]:
    """A rectangle of every image comes from another one; the share that an image keeps is its area outside of it."""
    height, width = pixels.shape[2:]
    other = torch.randperm(len(pixels)).to(pixels.device)
    side = math.sqrt(1 - _share(alpha))
    top, bottom = _stretch(round(side * height), height)
    left, right = _stretch(round(side * width), width)
    mixed = pixels.clone()
    mixed[:, :, top:bottom, left:right] = pixels[other, :, top:bottom, left:right]
    return mixed, Blend(target[other], 1 - (bottom - top) * (right - left) / (height * width))


def _share(alpha: float) -> float:
    return float(torch.distributions.Beta(alpha, alpha).sample())


def _stretch(length: int, side: int) -> tuple[int, int]:
    """Ends of a stretch around a middle that lies anywhere; at the border it is shorter, as in the paper."""
    middle = int(torch.randint(0, side, ()))
    return max(0, middle - length // 2), min(side, middle - length // 2 + length)
