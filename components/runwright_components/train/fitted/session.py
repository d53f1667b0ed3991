"""A fit from its configuration to the model's folder."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from runwright_components.contract.artifacts import Epoch, History, ModelManifest
from runwright_components.contract.config import SplitName
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.features import load_split
from runwright_components.models import shape_of
from runwright_components.models.unsupervised import Dense
from runwright_components.train.artifact import write_model
from runwright_components.train.calibration import calibrate
from runwright_components.train.cost import CostMeter, Work
from runwright_components.train.fitted.fits import FITS, Matrix
from runwright_components.train.job import Job
from runwright_components.train.ranks import alone
from runwright_components.train.signals import StopSignal, cancelled

Inputs = dict[str, torch.Tensor]


def run(job: Job, stop: StopSignal, progress: Progress) -> ModelManifest:
    """Fit to `job.prepared` and write the model to `job.out`. A fit keeps no checkpoints: it begins anew.

    Raises StageError: Cancelled, DataInvalid for too few rows.
    """
    config, prepared = job.config, Path(job.prepared)
    shape = shape_of(prepared)
    training, validation = _inputs(prepared, "train"), _inputs(prepared, "validation")
    ranks = alone(config.model_copy(update={"device": "cpu"}))
    cost = CostMeter(Path(job.checkpoints), ranks, Work(), resume=False)

    def tick(done: int, total: int, what: str) -> None:
        if stop.requested:
            raise cancelled()
        progress.update(done, total, unit="fits", message=what)

    began = time.monotonic()
    cost.begin()
    rows = _matrix(Dense(shape), training)
    try:
        stop.deferred = True
        module, resolved = FITS[config.model.name](config.model, shape, rows, config.seed, tick)
    finally:
        stop.deferred = False
        cost.end()
    cost.count(training, torch.zeros(len(rows)))
    seconds = time.monotonic() - began
    calibrate(module, resolved, prepared)
    losses = _loss(module, training), _loss(module, validation or training)
    progress.note("writing the model")
    return write_model(
        module,
        shape=shape,
        config=config.model_copy(update={"model": resolved}),
        prepared=prepared,
        out=Path(job.out),
        history=_history(*losses, seconds=seconds, rows=len(rows)),
        precision="fp32",
        ranks=ranks,
        seconds=seconds,
        cost=cost.total(),
    )


def _inputs(prepared: Path, split: SplitName) -> Inputs:
    return {name: torch.from_numpy(values) for name, values in load_split(prepared, split).inputs.items()}


def _matrix(dense: Dense, inputs: Inputs) -> Matrix:
    if not dense.features:
        raise StageError(
            Reason.DATA_INVALID,
            "the prepared table has no input columns",
            cure="give the sources at least one column that is not ignored",
        )
    matrix: Matrix = np.ascontiguousarray(dense(**inputs).numpy())
    return matrix


def _loss(module: nn.Module, inputs: Inputs) -> float:
    with torch.inference_mode():
        return float(module(**inputs).double().mean())


def _history(training: float, validation: float, *, seconds: float, rows: int) -> History:
    """The one epoch of a fit."""
    only = Epoch(
        epoch=1,
        step=1,
        train_loss=training,
        validation_loss=validation,
        validation_metric=validation,
        learning_rate=0.0,
        seconds=seconds,
        samples_per_second=rows / max(seconds, 1e-9),
    )
    return History(epochs=(only,), best_epoch=1, stopped="epochs")
