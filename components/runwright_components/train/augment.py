"""Random changes of training batches, the same ones whenever and wherever a batch is made again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from runwright_components.contract.config import AugmentConfig
from runwright_components.train import pictures
from runwright_components.train.data import Inputs
from runwright_components.train.mixing import Blend, cutmix, mixup


class Augmenter:
    """Changes batches as `config` says. Its draws depend on the seed and the batch's place alone: not on what was drawn
    before, so that a resumed training sees the same batches."""

    def __init__(self, config: AugmentConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._idle = config == AugmentConfig()

    def __call__(self, inputs: Inputs, target: Tensor, *place: int) -> Blend | None:
        """Change `inputs` in place; `place` tells the batch from all others (epoch, step, rank, part). Returns what the
        targets were mixed with, if they were."""
        if self._idle:
            return None
        with _drawing(self._seed, *place):
            if "attention_mask" in inputs and self._config.token_dropout:
                inputs["attention_mask"] = hide_tokens(inputs["attention_mask"], self._config.token_dropout)
            if "pixels" not in inputs:
                return None
            inputs["pixels"] = self._change(inputs["pixels"])
            return self._mix(inputs, target)

    def _change(self, pixels: Tensor) -> Tensor:
        config = self._config
        if config.policy != "none":
            pixels = pictures.random_policy(pixels, config.policy)
        if config.crop:
            pixels = pictures.random_crop(pixels)
        if config.flip:
            pixels = pictures.random_flip(pixels)
        if config.rotate:
            pixels = pictures.random_rotation(pixels, config.rotate)
        if config.color:
            pixels = pictures.random_color(pixels, config.color)
        if config.erase:
            pixels = pictures.random_erase(pixels, config.erase)
        return pixels

    def _mix(self, inputs: Inputs, target: Tensor) -> Blend | None:
        ways = [(way, alpha) for way, alpha in ((mixup, self._config.mixup), (cutmix, self._config.cutmix)) if alpha]
        if not ways:
            return None
        way, alpha = ways[int(torch.randint(0, len(ways), ()))]
        inputs["pixels"], blend = way(inputs["pixels"], target, alpha)
        return blend


def hide_tokens(mask: Tensor, share: float) -> Tensor:
    """`mask` [N, T] without a random `share` of its tokens; the first, which may stand for the text, stays."""
    hidden = torch.rand(mask.shape) < share
    hidden[:, 0] = False
    return mask.masked_fill(hidden.to(mask.device), 0)


@contextmanager
def _drawing(*place: int) -> Iterator[None]:
    """torch's CPU generator stands where `place` puts it, and afterwards where it stood before."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))
    try:
        yield
    finally:
        generator.set_state(before)
