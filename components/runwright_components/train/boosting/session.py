"""A boosting from its configuration to the model's folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path

import torch

from runwright_components.contract.artifacts import Epoch, History, ModelManifest, PreparedManifest
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.train.boosting.artifact import write_booster
from runwright_components.train.boosting.checkpoints import BoosterStore, Saved
from runwright_components.train.boosting.course import Course
from runwright_components.train.boosting.library import Growth, Library, Round, library, threads
from runwright_components.train.boosting.table import balanced_weights, figures, read_columns, read_table
from runwright_components.train.cost import CostMeter, Work
from runwright_components.train.job import Job
from runwright_components.train.ranks import alone
from runwright_components.train.signals import StopSignal, cancelled

WRITE_FACTOR = 10  # checkpoints are so much further apart than writing one takes
LEAST_PAUSE = 2.0  # seconds
REPORT_SECONDS = 0.25


def run(job: Job, stop: StopSignal, progress: Progress) -> ModelManifest:
    """Train on `job.prepared` and write the model to `job.out`.

    Raises StageError: Cancelled after a stop, whose state is kept; InvalidConfig, DataInvalid, TrainingDiverged,
    OutOfMemory, CheckpointInvalid, StorageFull.
    """
    config, prepared = job.config, Path(job.prepared)
    boosting = Boosting(job, library(config.model.name), stop, progress)
    with _memory(config, boosting.library.error):
        growth = _growth(config, prepared, progress)
        course, content = boosting.run(growth)
    progress.note("writing the model")
    history = History(
        epochs=tuple(course.history),
        best_epoch=course.best_round,
        stopped=course.stopped or "epochs",
        resumed_from_step=boosting.resumed,
    )
    return write_booster(
        content,
        boosting.library,
        growth,
        config,
        history,
        prepared=prepared,
        out=Path(job.out),
        cost=boosting.cost.total(),
    )


class Boosting:
    """Grows a booster round by round, with checkpoints between them."""

    def __init__(self, job: Job, library: Library, stop: StopSignal, progress: Progress) -> None:
        self.config = job.config
        self.resume = job.resume
        self.library = library
        self.stop = stop
        self.progress = progress
        self.resumed = 0
        self.recipe = recipe(job.config, PreparedManifest.read(Path(job.prepared)).digest)
        self.store = BoosterStore(
            Path(job.checkpoints),
            file=library.file,
            keep=job.config.checkpoint_keep,
            keep_every=job.config.checkpoint_keep_every,
            warn=progress.warning,
        )
        ranks = alone(job.config.model_copy(update={"device": "cpu"}))
        self.cost = CostMeter(self.store.folder, ranks, Work(), resume=job.resume)
        self._saved_at = self._reported_at = self._ended_at = 0.0
        self._write_seconds = 0.0

    def run(self, growth: Growth) -> tuple[Course, bytes]:
        """The course of the training, and the booster of its best round."""
        self.store.open(resume=self.resume)
        saved = self.store.newest(self.recipe) if self.resume else None
        course = Course() if saved is None else Course.of_json(saved.state)
        content = b"" if saved is None else saved.booster
        if saved is not None:
            self.resumed = saved.rounds
            growth = replace(growth, start=content, done=saved.rounds)
            self.progress.note(f"continuing after round {saved.rounds}")

        def each(ended: Round) -> bool:
            nonlocal content
            self._take(ended, growth, course)
            if course.stopped or self.stop.requested or self._due(course.rounds):
                content = ended.content()
                self._save(course, content)
            if self.stop.requested and not course.stopped:
                raise cancelled(course.rounds)
            return course.stopped is not None

        self._saved_at = self._ended_at = time.monotonic()
        if course.stopped is None:
            try:
                self.stop.deferred = True
                self.cost.begin()
                self.library.grow(growth, each)
            finally:
                self.cost.end()
                self.stop.deferred = False
        return course, self.library.first(content, course.best_round)

    def _take(self, ended: Round, growth: Growth, course: Course) -> None:
        """Judge a round, and tell of it."""
        loss, _ = figures(ended.training, growth.training, growth.task)
        validation, metric = figures(ended.validation, growth.validation, growth.task)
        number = course.rounds + 1
        if not (isfinite(loss) and isfinite(validation)):
            raise self._diverged(number, growth.trees)
        now = time.monotonic()
        seconds, self._ended_at = max(now - self._ended_at, 1e-9), now
        course.add(
            Epoch(
                epoch=number,
                step=number,
                train_loss=loss,
                validation_loss=validation,
                validation_metric=metric,
                learning_rate=growth.trees.learning_rate,
                seconds=seconds,
                samples_per_second=len(growth.training) / seconds,
            ),
            self.config.early_stopping,
            growth.trees.rounds,
        )
        self.cost.count({}, torch.from_numpy(growth.training.target))
        self.progress.epoch(number, {"validation_loss": validation, self._metric(growth): metric})
        if course.stopped or now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._report(course, growth)

    def _metric(self, growth: Growth) -> str:
        return "accuracy" if growth.task == "classification" else "r2"

    def _report(self, course: Course, growth: Growth) -> None:
        last, total = course.history[-1], growth.trees.rounds
        values: dict[str, float | str] = {
            "round": last.epoch,
            "loss": last.train_loss,
            "validation_loss": last.validation_loss,
            self._metric(growth): last.validation_metric,
            "samples_per_second": last.samples_per_second,
            "eta_seconds": (total - last.epoch) * course.seconds / course.rounds,
            **self.cost.figures(),
        }
        self.cost.keep()
        self.progress.update(total if course.stopped else last.epoch, total, unit="rounds", values=values)

    def _due(self, rounds: int) -> bool:
        every, minutes = self.config.checkpoint_every_steps, self.config.checkpoint_every_minutes
        since = time.monotonic() - self._saved_at
        if every:
            return rounds % every == 0 or (minutes is not None and since >= 60 * minutes)
        return since >= max(LEAST_PAUSE, WRITE_FACTOR * self._write_seconds)

    def _save(self, course: Course, content: bytes) -> None:
        start = time.monotonic()
        self.store.save(Saved(course.rounds, self.recipe, course.as_json(), content))
        self._saved_at = time.monotonic()
        self._write_seconds = self._saved_at - start

    def _diverged(self, number: int, trees: TreesConfig) -> StageError:
        kept = self.store.rounds()
        return StageError(
            Reason.TRAINING_DIVERGED,
            f"the loss is not a number after round {number}"
            + (f"; the checkpoint of round {kept[0]} is kept" if kept else ""),
            where="train.model.trees",
            cure=f"lower trees.learningRate (now {trees.learning_rate:g}) or raise trees.l2 (now {trees.l2:g})",
        )


def _growth(config: TrainConfig, prepared: Path, progress: Progress) -> Growth:
    """What the configuration and the data ask for. Raises StageError when they do not fit together."""
    manifest = PreparedManifest.read(prepared)
    classes = len(manifest.signature.labels) if config.task == "classification" else 1
    if config.task not in ("classification", "regression") or config.modality != "tabular":
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{config.model.name} does not do {config.modality} {config.task}",
            where="train.model.name",
            cure="use it for the classification of tables, or regression on them",
        )
    if config.task == "classification" and classes < 2:
        raise StageError(
            Reason.DATA_INVALID,
            f"the target {manifest.signature.target!r} has {classes} class in the training data;"
            " a classifier needs two",
            where=str(prepared),
            cure="choose another target, or collect rows of another class",
        )
    trees = config.model.trees or TreesConfig.of(config.model.name, config.task)
    columns = read_columns(prepared, manifest.categories)
    training = read_table(prepared, "train", config.task, classes)
    validation = read_table(prepared, "validation", config.task, classes)
    _check_rows(len(training), trees, config.model.name)
    if config.task == "classification" and config.class_weights == "balanced":
        weights = balanced_weights(training.target, classes)
        training = replace(training, weight=weights[training.target.astype(int)])
        validation = replace(validation, weight=weights[validation.target.astype(int)])
    if not len(validation):
        progress.note("there are no validation rows; the training split stands in for them")
        validation = training
    return Growth(config.task, classes, columns, trees, training, validation, config.seed, threads())


def _check_rows(rows: int, trees: TreesConfig, name: str) -> None:
    least = 2 * trees.min_child_rows if name == "lightgbm" else 2
    if rows >= least:
        return
    raise StageError(
        Reason.DATA_INVALID,
        f"{rows} training rows are too few: a single split needs {least}",
        where="train.model.trees.minChildRows" if name == "lightgbm" else "train",
        cure="collect more rows, give the training split a larger share (prepare.split.train)"
        + (f", or lower minChildRows (now {trees.min_child_rows})" if name == "lightgbm" else ""),
    )


def recipe(config: TrainConfig, prepared_digest: str) -> str:
    """What a training must have in common with a checkpoint to continue from it, bit by bit."""
    return f"{config.continued().digest()} {prepared_digest}"


@contextmanager
def _memory(config: TrainConfig, library_error: type[Exception]) -> Iterator[None]:
    """Turn a failed allocation into an error that says what to do."""
    try:
        yield
    except (MemoryError, library_error) as error:
        if not isinstance(error, MemoryError) and "alloc" not in str(error):
            raise
        raise StageError(
            Reason.OUT_OF_MEMORY,
            f"{config.model.name} ran out of memory: {str(error).strip().splitlines()[0] if str(error) else ''}",
            where="train.model.trees",
            cure="lower trees.bins or trees.depth, give training more memory, or bound the rows with data.maxRows",
        ) from error
