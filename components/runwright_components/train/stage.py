"""The train stage."""

from __future__ import annotations

from pathlib import Path

from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.config.trees import TREE_MODELS
from runwright_components.contract.config.unsupervised import FITTED_MODELS
from runwright_components.contract.progress import Progress
from runwright_components.train.job import Job
from runwright_components.train.signals import StopSignal


def train(
    config: TrainConfig, *, prepared: Path, out: Path, checkpoints: Path, resume: bool, progress: Progress
) -> ModelManifest:
    """Train on the prepared data in `prepared` and write a model to `out`.

    `checkpoints` keeps the training's state; with `resume` it goes on from the newest one bit by bit, without it old
    checkpoints are removed. One process that is never restarted runs right here, where torch need not be loaded again;
    others run under torchrun's elastic agent. Raises StageError (InvalidConfig, DataInvalid, TrainingDiverged,
    OutOfMemory, CheckpointInvalid, WorkerFailed, StorageFull, Cancelled), and of the user's own code also UserCodeError
    and DeadlineExceeded.
    """
    if config.tune is not None:
        from runwright_components.train.tuning.search import search

        return search(config, prepared=prepared, out=out, checkpoints=checkpoints, resume=resume, progress=progress)
    if config.code is not None:
        from runwright_components.train.code import train_code

        own = train_code(config, prepared=prepared, out=out, checkpoints=checkpoints, resume=resume, progress=progress)
        assert own is not None
        return own
    job = Job(
        config=config,
        prepared=str(prepared.resolve()),
        out=str(out.resolve()),
        checkpoints=str(checkpoints.resolve()),
        resume=resume,
        stage=progress.stage,
    )
    if config.model.name in TREE_MODELS:
        from runwright_components.train.boosting import session as boosting

        with StopSignal() as stop:
            return boosting.run(job, stop, progress)
    if config.model.name in FITTED_MODELS:
        from runwright_components.train.fitted import session as fitted

        with StopSignal() as stop:
            return fitted.run(job, stop, progress)
    if config.model.name == "policy":
        from runwright_components.train.reinforcement import session as reinforcement

        with StopSignal() as stop:
            return reinforcement.run(job, stop, progress)
    if config.processes == 1 and config.max_restarts == 0:
        from runwright_components.train import session
        from runwright_components.train.ranks import alone

        with StopSignal() as stop:
            manifest = session.run(job, alone(config), stop, progress)
        assert manifest is not None
    else:
        from runwright_components.train.agent import run_agent

        run_agent(job, progress)
        manifest = ModelManifest.read(out)
    return manifest
