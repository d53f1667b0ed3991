"""How training rows are changed at random, and how weights are averaged and woken up."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class AugmentConfig(Config):
    """Images but for `token_dropout`; 0, false and none change nothing."""

    crop: bool = False
    flip: bool = False
    rotate: float = 0.0  # degrees, at most
    color: float = 0.0  # of brightness, contrast and saturation: share by which they change, at most
    erase: float = 0.0  # share of the images with a blank rectangle
    policy: Literal["none", "trivialaugment", "randaugment"] = "none"
    mixup: float = 0.0  # alpha of the Beta distribution that shares are drawn from
    cutmix: float = 0.0
    token_dropout: float = 0.0  # share of a text's tokens that are masked


class UnfreezeConfig(Config):
    after: int = 1  # epochs in which the head learns alone
    every: int = 0  # epochs between two further layers, from the top; 0: all at once


class EmaConfig(Config):
    decay: float = 0.999
