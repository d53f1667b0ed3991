"""The training loop: plain torch, one optimizer step after the other, and what happens between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from runwright_components.contract.artifacts import Epoch
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.models.pretrained import Pretrained
from runwright_components.train import parallel, tensor_parallel
from runwright_components.train.augment import Augmenter
from runwright_components.train.checkpoints import CheckpointStore
from runwright_components.train.cost import CostMeter, Work
from runwright_components.train.data import BatchPlan, Rows
from runwright_components.train.objective import Objective, Validation
from runwright_components.train.optim import rate_factor
from runwright_components.train.precision import Precision, autocast
from runwright_components.train.ranks import Vote
from runwright_components.train.signals import StopSignal, cancelled
from runwright_components.train.state import TrainingState

REPORT_SECONDS = 0.25
# Checkpoints at ends of epochs are spaced so that copying the state takes under 2 % of the time, writing under 10 %.
STALL_FACTOR = 60
WRITE_FACTOR = 10


@dataclass
class Meter:
    """Figures of the run for the terminal and the bench; they decide nothing but when to report and to write."""

    reported_at: float = 0.0
    reported_step: int = 0
    rows_per_second: float = 0.0
    saved_at: float = 0.0
    asked: bool = False  # for a checkpoint, since the latest one
    agreed: bool = False  # by all ranks
    stall: float = 0.0  # of the latest checkpoint, on the training thread
    stall_total: float = 0.0
    checkpoints: int = 0


class Trainer:
    """Runs `state` through the epochs of `config`; `forward` is the module, or its wrapper that averages gradients."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        state: TrainingState,
        forward: nn.Module,
        training: Rows,
        validation: Rows,
        objective: Objective,
        precision: Precision,
        store: CheckpointStore,
        recipe: str,
        stop: StopSignal,
        progress: Progress,
        cost: CostMeter | None = None,
        beat: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.state = state
        self.ranks = state.ranks
        self.forward = forward
        self.training = training
        self.validation = validation
        self.objective = objective
        self.precision = precision
        self.store = store
        self.recipe = recipe
        self.stop = stop
        self.progress = progress
        self.beat = beat  # said whenever training has come further
        self.clock = clock
        self.cost = cost or CostMeter(store.folder, self.ranks, Work(), resume=False, clock=clock)
        self.vote = Vote(self.ranks)
        self.augment = Augmenter(config.augment, config.seed)
        self.meter = Meter()
        self.plan = BatchPlan(
            len(training), config.batch_size, self.ranks.replicas, max(1, config.accumulate), config.seed
        )  # fmt: skip
        self.share_out()
        learning = [weight for group in state.optimizer.param_groups for weight in group["params"]]
        self._learning = tensor_parallel.by_mesh(learning)

    def share_out(self) -> None:
        """Settle the steps: those that the cursor began with, or, at its start, those of the configuration."""
        cursor = self.state.cursor
        if cursor.step_rows:
            self.plan = self.plan.sharing(cursor.step_rows)
        cursor.step_rows = self.plan.at_most
        self.total = self.config.epochs * self.plan.steps
        if self.config.max_steps is not None:
            self.total = min(self.total, self.config.max_steps)

    # -------------------------------------------------------- epochs

    def run(self) -> None:
        """Train to the end. Raises StageError: Cancelled after a stop, TrainingDiverged when the loss is no number."""
        cursor = self.state.cursor
        self.meter.saved_at = self.meter.reported_at = self.clock()
        self.meter.reported_step = cursor.step
        try:
            while not cursor.stopped:
                self._epoch()
            self.store.wait()
        finally:
            self.cost.keep(now=True)

    def _epoch(self) -> None:
        cursor = self.state.cursor
        started = self.clock() - cursor.epoch_seconds
        order = self.plan.order(cursor.epoch)
        if isinstance(self.state.module, Pretrained):
            self.state.module.thaw(cursor.epoch)
        self.training.start(cursor.epoch, self.plan.upcoming(order, cursor.batch, self.ranks.replica))
        self.forward.train()
        self.cost.begin()
        every = self.config.checkpoint_every_steps
        while cursor.batch < self.plan.steps and cursor.step < self.total:
            self._step(order)
            self.beat()
            now = self.clock()
            cursor.epoch_seconds = now - started
            if now - self.meter.reported_at >= REPORT_SECONDS:
                self._report(now)
            last = cursor.batch == self.plan.steps or cursor.step == self.total
            stop, due = self.vote(self.stop.requested, self._overdue(now))
            if stop:
                self._save()
                self.store.wait()
                raise cancelled(next(iter(self.store.steps()), None))
            self.meter.agreed |= due
            if not last and (self.meter.agreed or (every and cursor.step % every == 0)):
                self._save()
        self.cost.end()
        self._end_epoch()

    def _end_epoch(self) -> None:
        cursor = self.state.cursor
        first, _ = self.plan.bounds(0)
        _, last = self.plan.bounds(cursor.batch - 1)
        train_loss = self._mean_loss(last - first)
        result, due = self._validate()
        cursor.total_seconds += cursor.epoch_seconds
        rows = last - first
        cursor.history.append(
            Epoch(
                epoch=cursor.epoch + 1,
                step=cursor.step,
                train_loss=train_loss,
                validation_loss=result.loss,
                validation_metric=result.metric,
                learning_rate=self._rate(cursor.step - 1),
                seconds=cursor.epoch_seconds,
                samples_per_second=rows / max(cursor.epoch_seconds, 1e-9),
            )
        )
        self._judge(result.loss)
        cursor.epoch += 1
        cursor.batch, cursor.epoch_seconds = 0, 0.0
        self.state.loss_sum.zero_()
        if not cursor.stopped and cursor.step >= self.total:
            cursor.stopped = "epochs" if cursor.epoch >= self.config.epochs else "steps"
        every = self.config.checkpoint_every_steps
        if cursor.stopped or self.meter.agreed or (cursor.step % every == 0 if every else due):
            self._save()
        if self.ranks.main:
            self._report(self.clock(), final=bool(cursor.stopped))
            figures = {"validation_loss": result.loss, self.objective.metric: result.metric}
            self.progress.epoch(cursor.epoch, figures)

    def _judge(self, loss: float) -> None:
        """Keep the best weights, and stop early when the validation loss has not improved for long enough."""
        cursor = self.state.cursor
        if cursor.best_loss is None or loss < cursor.best_loss:
            cursor.best_loss, cursor.best_epoch = loss, cursor.epoch + 1
            self.state.keep_best()
        early = self.config.early_stopping
        if early is None:
            return
        if cursor.reference is None or loss < cursor.reference - early.min_delta:
            cursor.reference, cursor.stale = loss, 0
            return
        cursor.stale += 1
        if cursor.stale >= early.patience:
            cursor.stopped = "early"

    # -------------------------------------------------------- one step

    def _step(self, order: Tensor) -> None:
        state, cursor = self.state, self.state.cursor
        rate = self._rate(cursor.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["rate_share"]
        first, last = self.plan.bounds(cursor.batch)
        parts = list(self.plan.micro_batches(order, cursor.batch, self.ranks.replica))
        for number, (rows, share) in enumerate(parts):
            inputs, target = self.training.take(rows)
            self.cost.count(inputs, target)
            blend = self.augment(inputs, target, cursor.epoch, cursor.batch, self.ranks.replica, number)
            with parallel.synchronizing(self.forward, wanted=number == len(parts) - 1):
                with autocast(self.precision, self.ranks.device):
                    output = self.forward(**inputs)
                loss = self.objective.loss(output, target, blend)
                if share != 1.0:
                    loss = loss * share
                (loss if state.scaler is None else state.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
            state.loss_sum.add_(loss.detach(), alpha=(last - first) / self.ranks.world)
        self._update()
        if state.average is not None:
            state.average.update(cursor.step)
        cursor.step += 1
        cursor.batch += 1

    def _update(self) -> None:
        optimizer, scaler = self.state.optimizer, self.state.scaler
        if self.config.gradient_clip is not None:
            if scaler is not None:
                scaler.unscale_(optimizer)
            tensor_parallel.clip(self._learning, self.config.gradient_clip)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()

    def _rate(self, step: int) -> float:
        factor = rate_factor(self.config.schedule, step, self.total, self.config.warmup_steps)
        return self.config.learning_rate * factor

    # -------------------------------------------------------- between steps

    def _validate(self) -> tuple[Validation, bool]:
        """Figures of the validation split, and whether rank 0 finds a checkpoint due; the same on every rank."""
        module = self.state.module.eval()
        size = self.config.batch_size * self.validation.evaluation_factor
        mine = torch.arange(self.ranks.replica, len(self.validation), self.ranks.replicas)
        sums = torch.zeros(5, dtype=torch.float64, device=self.ranks.device)
        with self.state.averaged(), parallel.evaluating(module, self.precision, self.ranks.device):
            for number in range(math.ceil(len(self.validation) / (size * self.ranks.replicas))):
                rows = mine[number * size : (number + 1) * size]
                # All ranks call the module, which may gather shards; one without rows takes a row that does not count.
                inputs, target = self.validation.take(rows if len(rows) else torch.zeros(1, dtype=torch.int64))
                output = module(**inputs)
                self.beat()
                if len(rows):
                    sums += self.objective.sums(output, target)
        due = float(self.ranks.main and self._due())
        totals = self.ranks.sum(torch.cat([sums.cpu(), torch.tensor([due], dtype=torch.float64)]))
        result = self.objective.summarize(totals[:5])
        if not math.isfinite(result.loss):
            raise self._diverged()
        return result, totals[5].item() > 0

    def _mean_loss(self, rows: int) -> float:
        mean = self.ranks.sum(self.state.loss_sum.cpu().clone()).item() / rows
        if not math.isfinite(mean):
            raise self._diverged()
        return mean

    def _diverged(self) -> StageError:
        kept = self.store.steps()
        return StageError(
            Reason.TRAINING_DIVERGED,
            f"the loss is not a number after step {self.state.cursor.step}"
            + (f"; the checkpoint of step {kept[0]} is kept" if kept else ""),
            where="train",
            cure=f"lower train.learningRate (now {self.config.learning_rate:g}), set train.gradientClip to 1.0"
            " or add train.warmupSteps; scale numeric columns if prepare.numeric.scale is none",
        )

    def _due(self) -> bool:
        """Whether a checkpoint at this epoch's end is worth its cost."""
        if self.store.busy:
            return False
        pause = max(STALL_FACTOR * self.meter.stall, WRITE_FACTOR * self.store.write_seconds)
        return self.clock() - self.meter.saved_at >= pause

    def _overdue(self, now: float) -> bool:
        """Whether rank 0 asks for a checkpoint for the time that has passed; the other ranks follow it."""
        minutes = self.config.checkpoint_every_minutes
        if minutes is None or self.meter.asked or now - self.meter.saved_at < 60 * minutes or not self.ranks.main:
            return False
        self.meter.asked = True
        return True

    def _save(self) -> None:
        start = self.clock()
        if not self.state.finite():
            raise self._diverged()
        snapshot = self.state.capture(self.recipe)
        if snapshot is not None:
            ready = None
            if self.ranks.device.type == "cuda":
                ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
                ready.record()
            self.store.save(snapshot, ready=ready)
        self.meter.saved_at = self.clock()
        self.meter.stall = self.meter.saved_at - start
        self.meter.stall_total += self.meter.stall
        self.meter.checkpoints += 1
        self.meter.asked = self.meter.agreed = False
        self.beat()

    def _report(self, now: float, *, final: bool = False) -> None:
        """Tell rank 0's progress; the loss is read here and not at every step, since reading waits for a GPU."""
        cursor, meter = self.state.cursor, self.meter
        seconds = now - meter.reported_at
        steps = cursor.step - meter.reported_step
        if steps and seconds > 0:
            meter.rows_per_second = steps / seconds * len(self.training) / self.plan.steps
        meter.reported_at, meter.reported_step = now, cursor.step
        if not self.ranks.main:
            return
        self.cost.keep()
        values: dict[str, float | str] = {"epoch": cursor.epoch + (cursor.batch > 0)}
        if cursor.batch:
            rows = self.plan.bounds(cursor.batch - 1)[1]
            values["loss"] = self.state.loss_sum.item() * self.ranks.world / rows
            if not math.isfinite(float(values["loss"])):
                raise self._diverged()
        elif cursor.history:
            values["loss"] = cursor.history[-1].train_loss
        if meter.rows_per_second:
            values["samples_per_second"] = meter.rows_per_second
            left = self.total - cursor.step
            values["eta_seconds"] = left * len(self.training) / self.plan.steps / meter.rows_per_second
        values |= self.cost.figures()
        if cursor.history:
            values["validation_loss"] = cursor.history[-1].validation_loss
            values[self.objective.metric] = cursor.history[-1].validation_metric
        self.progress.update(self.total if final else cursor.step, self.total, unit="steps", values=values)
