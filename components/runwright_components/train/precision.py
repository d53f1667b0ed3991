"""Which number format the forward pass computes in."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train import float8

Precision = Literal["fp32", "bf16", "fp16", "fp8"]

# What is no product of two operands in 8 bits is bf16 with fp8.
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp8": torch.bfloat16}


def resolve(asked: Literal["auto", "fp32", "bf16", "fp16", "fp8"], device: torch.device) -> Precision:
    """`auto` is bf16 on a GPU that computes in it, else fp32. Raises StageError (InvalidConfig) for fp16 on a CPU, and
    for fp8 on what does not have it."""
    if asked == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if asked == "fp16" and device.type != "cuda":
        raise StageError(
            Reason.INVALID_CONFIG,
            "fp16 needs a GPU",
            where="train.precision",
            cure="use auto, bf16 or fp32, or give the training a GPU",
        )
    if asked == "fp8":
        float8.check_device(device)
    return asked


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """A context, entered anew at each step, in which the forward pass runs."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])


def make_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler | None:
    """Loss scaling (Micikevicius et al. 2018), for fp16 alone: bf16 has the range of fp32."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None
