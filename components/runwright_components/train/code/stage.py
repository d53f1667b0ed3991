"""Training by the user's own code: run it, take what it exports, and make a model of that."""

from __future__ import annotations

import time
from pathlib import Path

from runwright_components.contract.artifacts import ModelManifest, PreparedManifest
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.progress import Progress
from runwright_components.train.code.metrics import Metrics
from runwright_components.train.code.runner import Runner
from runwright_components.train.code.taking import take_export
from runwright_components.train.code.workplace import workplace
from runwright_components.train.job import Nodes
from runwright_components.train.signals import StopSignal


def train_code(
    config: TrainConfig,
    *,
    prepared: Path,
    out: Path,
    checkpoints: Path,
    resume: bool,
    progress: Progress,
    nodes: Nodes | None = None,
) -> ModelManifest | None:
    """Run `config.code` on the prepared data and write what it exports as a model to `out`; on a node that is not the
    first, nothing is written and None is returned.

    Raises StageError: UserCodeError for what the code did wrong, InvalidConfig where there is nothing to start,
    OutOfMemory, StorageFull, WorkerFailed (a signal, or exit code 20), DeadlineExceeded, Cancelled.
    """
    prepared, out, checkpoints = prepared.resolve(), out.resolve(), checkpoints.resolve()
    place_of = workplace(config, prepared=prepared, out=out, checkpoints=checkpoints, resume=resume)
    with StopSignal() as stop, place_of as place:
        runner = Runner(config, place, stop, progress)
        metrics = Metrics(place.metrics, progress, rows=PreparedManifest.read(prepared).rows["train"])
        began = time.monotonic()
        runner.run(runner.entry(), metrics, nodes=nodes)
        seconds = time.monotonic() - began
        place.check_untouched()
        if nodes is not None and nodes.rank:
            return None
        return take_export(
            config,
            place,
            metrics,
            exported=runner.exported,
            out=out,
            progress=progress,
            nodes=nodes.count if nodes else 1,
            device="cuda" if Path("/dev/nvidia0").exists() else "cpu",
            seconds=seconds,
        )
