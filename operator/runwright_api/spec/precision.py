"""`spec.train.precision`: in what the model's products are computed."""

from __future__ import annotations

from typing import Any, Literal

from runwright_api.part import Rule, unless
from runwright_api.spec.language import TASK

Precision = Literal["auto", "fp32", "bf16", "fp16", "fp8"]

_FP8_MODELS = ("transformer", "vit", "decoder", "pretrained")


def _may_take_fp8(train: Any) -> bool:
    return bool(train.precision != "fp8" or train.code is not None or train.model.name in _FP8_MODELS)


PRECISION_RULES = (
    Rule(
        message=f"`precision: fp8` is for the models {', '.join(_FP8_MODELS)}",
        broken=lambda self: unless(_may_take_fp8(self), "precision"),
        cel=(
            "!has(self.precision) || self.precision != 'fp8' || has(self.code)"
            " || (has(self.model) && has(self.model.name) ?"
            f" self.model.name in [{', '.join(map(repr, _FP8_MODELS))}] : self.task == '{TASK}')"
        ),
        cure="use bf16",
    ),
)
"""Rules of `spec.train` about `precision`."""
