"""A training from its configuration to the model's folder, in one process of one or more."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from runwright_components.contract.artifacts import History, ModelManifest, PreparedManifest
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.models import Shape, build, shape_of
from runwright_components.train import faults, float8, parallel, rng, streaming
from runwright_components.train.artifact import write_model
from runwright_components.train.averaging import Average
from runwright_components.train.calibration import calibrate
from runwright_components.train.checkpoints import CheckpointStore
from runwright_components.train.cost import CostMeter, Work
from runwright_components.train.data import Rows, TensorSplit, read_split
from runwright_components.train.estimate import estimate
from runwright_components.train.job import Job
from runwright_components.train.loop import Trainer
from runwright_components.train.objective import Objective, RowLoss, balanced_weights
from runwright_components.train.optim import make_optimizer
from runwright_components.train.precision import Precision, make_scaler, resolve
from runwright_components.train.ranks import Ranks
from runwright_components.train.signals import StopSignal
from runwright_components.train.state import TrainingState
from runwright_components.train.watchdog import Watchdog


def run(
    job: Job, ranks: Ranks, stop: StopSignal, progress: Progress, watchdog: Watchdog | None = None
) -> ModelManifest | None:
    """Train; rank 0 writes the model and returns its manifest. `watchdog` sees that steps come. Raises StageError."""
    # cuDNN may choose another algorithm each time; a resumed training must not.
    deterministic = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with faults.told(job.config, ranks), deterministic:
        return _run(job, ranks, stop, progress, watchdog or Watchdog(math.inf, lambda: None))


def _run(job: Job, ranks: Ranks, stop: StopSignal, progress: Progress, watchdog: Watchdog) -> ModelManifest | None:
    config, prepared = job.config, Path(job.prepared)
    shape = shape_of(prepared)
    manifest = PreparedManifest.read(prepared)
    precision = resolve(config.precision, ranks.device)
    training, validation = _splits(config, shape, job, ranks)
    if not len(validation):
        progress.note("there are no validation rows; the training split stands in for them")
        validation = training

    def fresh() -> nn.Module:
        return build(config.model, shape, base=Path(config.base))

    rng.seed_everything(config.seed)  # the same weights on every rank
    module = fresh()
    layout, forward, work = _distribute(module, training, config, ranks, precision, progress)
    average = Average(module, config.ema.decay) if config.ema else None
    state = TrainingState(module, make_optimizer(config, module), make_scaler(precision, ranks.device), ranks, average)
    rng.seed_everything(config.seed + 1 + ranks.replica)  # other dropout and augmentation on every replica
    store = CheckpointStore(
        Path(job.checkpoints),
        keep=config.checkpoint_keep,
        keep_every=config.checkpoint_keep_every,
        warn=progress.warning,
        ranks=ranks,
    )
    trainer = Trainer(
        config,
        state=state,
        forward=forward,
        training=training,
        validation=validation,
        objective=_objective(config, shape, training, validation, ranks),
        precision=precision,
        store=store,
        recipe=recipe(config, manifest.digest, ranks, precision),
        stop=stop,
        beat=watchdog.beat,
        progress=progress,
        cost=CostMeter(Path(job.checkpoints), ranks, work, resume=job.resume, precision=precision),
    )
    _check_batches(trainer, module)
    parallel.settle(forward, training.take(torch.arange(trainer.plan.smallest))[0])
    try:
        resumed = _open(store, trainer, resume=job.resume)
        _check_batches(trainer, module)
        stop.deferred = True
        with watchdog:
            trainer.run()
    finally:
        stop.deferred = False
        store.close()
    cursor = state.cursor
    state.load_best()
    module = parallel.whole(module, layout, fresh)
    cost = trainer.cost.total()
    if not ranks.main:
        return None
    calibrate(module, config.model, prepared)
    progress.note("writing the model")
    return write_model(
        module,
        shape=shape,
        config=config,
        prepared=prepared,
        out=Path(job.out),
        history=History.model_validate(
            {
                "epochs": tuple(cursor.history),
                "best_epoch": cursor.best_epoch,
                "stopped": cursor.stopped,
                "resumed_from_step": resumed,
            }
        ),
        precision=precision,
        ranks=ranks,
        seconds=cursor.total_seconds,
        cost=cost,
    )


def _open(store: CheckpointStore, trainer: Trainer, *, resume: bool) -> int:
    """Prepare the checkpoints' folder and go to where the newest left off; returns its step, 0 for a fresh start."""
    store.open(resume=resume)
    found = store.newest(trainer.recipe) if resume else None
    if found is None:
        return 0
    world = trainer.state.restore(found)
    trainer.share_out()
    others = ""
    if world != trainer.ranks.world:
        others = (
            f" with {trainer.ranks.world} processes in place of {world}: each step takes the same rows, shared out"
            " anew; random states are derived anew"
        )
    if trainer.ranks.main:
        trainer.progress.note(f"continuing after step {found.step}{others}")
    return found.step


def recipe(config: TrainConfig, prepared_digest: str, ranks: Ranks, precision: Precision) -> str:
    """What a training must have in common with a checkpoint to continue from it."""
    return f"{config.continued().digest()} {prepared_digest} {ranks.device.type} {precision}"


def _distribute(
    module: nn.Module, training: Rows, config: TrainConfig, ranks: Ranks, precision: Precision, progress: Progress
) -> tuple[parallel.Layout, nn.Module, Work]:
    """Settle how the processes share the work, and make the module ready; returns what a step calls and costs."""
    # Two rows at least: of one, batch normalization only raises, and `_check_batches` has better words for it.
    sample, _ = training.take(torch.arange(min(max(config.batch_size, 2), len(training))))
    costs = estimate(module, sample)
    layout = parallel.choose(config, module, ranks, costs)
    if ranks.main and layout != parallel.Layout("single"):
        progress.note(f"{ranks.world} processes: {layout.describe()}")
    if layout.float8:
        float8.convert(parallel.blocks_of(module))
    return layout, parallel.distribute(module, layout, ranks, precision), Work.of(costs, sample)


def _splits(config: TrainConfig, shape: Shape, job: Job, ranks: Ranks) -> tuple[Rows, Rows]:
    prepared, device = Path(job.prepared), ranks.device
    if config.task == "generation":
        from runwright_components.train.tokens import TokenSplit

        training = TokenSplit(prepared, "train", device, phased=True, seed=config.seed)
        return training, TokenSplit(prepared, "validation", device)
    if config.task == "forecasting":
        from runwright_components.train.windows import SeriesSplit

        return SeriesSplit(prepared, "train", device), SeriesSplit(prepared, "validation", device)
    if streaming.is_streamed(config, prepared, shape, ranks):
        return streaming.open_splits(prepared, config, shape, ranks, beside=Path(job.checkpoints))
    return (
        read_split(prepared, "train", config.task, shape.classes, device),
        read_split(prepared, "validation", config.task, shape.classes, device),
    )


def _objective(config: TrainConfig, shape: Shape, training: Rows, validation: Rows, ranks: Ranks) -> Objective:
    if config.task == "generation":
        from runwright_components.train.tokens import TokenObjective, TokenSplit

        assert isinstance(training, TokenSplit)
        assert isinstance(validation, TokenSplit)
        return TokenObjective(training, validation)
    if config.task == "forecasting":
        from runwright_components.train.windows import QuantileObjective, SeriesSplit

        assert isinstance(training, SeriesSplit)
        return QuantileObjective(training.levels)
    weights: Tensor | None = None
    if config.task in UNSUPERVISED:
        return RowLoss(config.task)
    if config.task == "classification" and config.class_weights == "balanced":
        assert isinstance(training, TensorSplit | streaming.StreamedSplit)
        weights = balanced_weights(torch.bincount(training.target.to(ranks.device), minlength=shape.classes))
    return Objective(config.task, smoothing=config.label_smoothing, weights=weights)


def _check_batches(trainer: Trainer, module: nn.Module) -> None:
    plan = trainer.plan
    least = 2 if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()) else 1
    if plan.rows and plan.smallest >= least:
        return
    if plan.rows < least * plan.world * plan.accumulate:
        raise StageError(
            Reason.DATA_INVALID,
            f"{plan.rows} training rows are too few for {plan.world} processes with {plan.accumulate} micro-batches",
            where="train",
            cure="collect more rows, or give the training split a larger share (prepare.split.train)",
        )
    raise StageError(
        Reason.INVALID_CONFIG,
        f"batches of {plan.smallest} row cannot be normalized over the batch",
        where="train.batchSize",
        cure="set it to 4 or more, or set train.model.normalization to layer",
    )
