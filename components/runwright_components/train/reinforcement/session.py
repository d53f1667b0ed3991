"""One agent's training: rollouts and updates by Stable-Baselines3, validations and checkpoints between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from runwright_components.contract.artifacts import Epoch, History, ModelManifest, PreparedManifest
from runwright_components.contract.config import ReinforcementConfig, TrainConfig
from runwright_components.contract.config.environment import ON_POLICY
from runwright_components.contract.environment import EnvironmentDocument
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.environments.episodes import play
from runwright_components.environments.guard import Guarded
from runwright_components.environments.opening import read_environment
from runwright_components.train.checkpoints import CheckpointStore, Snapshot
from runwright_components.train.cost import CostMeter, Work
from runwright_components.train.job import Job
from runwright_components.train.ranks import alone
from runwright_components.train.reinforcement.agent import (
    acting_layers,
    build,
    choose,
    environments_of,
    settings_of,
)
from runwright_components.train.reinforcement.artifact import write_policy
from runwright_components.train.reinforcement.policy import Policy
from runwright_components.train.reinforcement.state import capture, restore
from runwright_components.train.signals import StopSignal, cancelled

VALIDATIONS = 20  # of a training, about
VALIDATION_EPISODES = 10
VALIDATION_SHARE = 4  # validations take at most one step for so many of training
VALIDATION_SEED = 2**29  # apart from those of training; evaluation has others again
POINTS = 200  # of the curve of returns


def run(job: Job, stop: StopSignal, progress: Progress) -> ModelManifest:
    """Let an agent learn and write the best policy that validation has seen. Raises StageError."""
    environment, make = read_environment(Path(job.prepared))
    asked = job.config.reinforcement or ReinforcementConfig()
    learned = asked.resolved(choose(asked.algorithm, environment.actions))
    training = Training(job, learned, environment, make, stop, progress)
    history = training.run()
    return write_policy(
        training.policy,
        learned,
        job.config,
        history,
        prepared=Path(job.prepared),
        out=Path(job.out),
        steps=training.steps,
        cost=training.cost.total(),
    )


class Training:
    """Learns until the timesteps are over, with validations and checkpoints between rollouts.

    A resume continues networks, optimizers, replay buffer and statistics, in new episodes, from another seed; so the
    curve goes on as it might have, not as it would have.
    """

    def __init__(
        self,
        job: Job,
        learned: ReinforcementConfig,
        environment: EnvironmentDocument,
        make: Callable[[], Guarded],
        stop: StopSignal,
        progress: Progress,
    ) -> None:
        self.config: TrainConfig = job.config
        self.learned = learned
        self.stop = stop
        self.progress = progress
        self.resume = job.resume
        self.recipe = f"{job.config.continued().digest()} {PreparedManifest.read(Path(job.prepared)).digest}"
        self._make = make
        settings = settings_of(learned, environment)
        self.together = environments_of(learned, settings, make)
        self.agent = build(learned, settings, self.together, job.config.seed)
        self.policy = Policy(settings).eval()
        self.best: dict[str, Tensor] = {}
        self.epochs: list[Epoch] = []
        self.returns: list[tuple[int, float]] = []
        self.reached = False
        self.resumed = self._validation_steps = self._counted = self._rollout_start = 0
        self.store = CheckpointStore(
            Path(job.checkpoints),
            keep=job.config.checkpoint_keep,
            keep_every=job.config.checkpoint_keep_every,
            warn=progress.warning,
        )
        self.cost = CostMeter(
            self.store.folder, alone(job.config.model_copy(update={"device": "cpu"})), Work(), resume=job.resume
        )
        self._saved_at = self._started = self._validated_at = time.monotonic()
        self._saved_step = 0

    @property
    def steps(self) -> int:
        """Steps of the environments so far."""
        return int(self.agent.num_timesteps)

    @property
    def done(self) -> bool:
        return self.reached or self.steps >= self.learned.timesteps

    def run(self) -> History:
        """Learn; afterwards `policy` is the best one. Raises StageError."""
        self.store.open(resume=self.resume)
        try:
            if self.resume:
                self._restore()
            if not self.done:
                self._learn()
            if not self.epochs or self.epochs[-1].step != self.steps:
                self._validate()
            self._report()
            self.store.wait()
        finally:
            self.store.close()
            self.together.close()
        self.policy.load_state_dict(self.best)
        best = max(self.epochs, key=lambda epoch: (epoch.validation_metric, epoch.step))
        stopped: Literal["early", "steps"] = "early" if self.reached else "steps"
        return History(
            epochs=tuple(self.epochs),
            best_epoch=best.epoch,
            stopped=stopped,
            resumed_from_step=self.resumed,
            returns=tuple(self.returns),
        )

    # -------------------------------------------------------- learning

    def _learn(self) -> None:
        self.stop.deferred = True
        self._started = self._validated_at = time.monotonic()
        self._counted = self.steps
        self.cost.begin()
        try:
            with _faults(self.learned):
                self.agent.learn(
                    self.learned.timesteps - self.steps,
                    callback=_Between(self),
                    log_interval=None,
                    reset_num_timesteps=self.steps == 0,
                )
        finally:
            self.cost.end()
            self.stop.deferred = False
        self._count()
        if self.stop.requested:
            if self.learned.algorithm in ON_POLICY:  # nothing was learned from the rollout under way
                self.agent.num_timesteps = self._rollout_start
            self._save()
            self.store.wait()
            raise cancelled(self.steps)

    def between(self) -> None:
        """A rollout begins: what was learned from the one before is there."""
        self._rollout_start = self.steps
        if self._counted == self.steps:
            return
        self._count()
        self.cost.keep()
        mean = self._mean_return()
        if mean is not None:
            if not self.returns or (self.steps - self.returns[-1][0]) * POINTS >= self.learned.timesteps:
                self.returns.append((self.steps, mean))
            enough = len(self.agent.ep_info_buffer) == self.agent.ep_info_buffer.maxlen
            self.reached = enough and self.learned.stop_at is not None and mean >= self.learned.stop_at
        if self._validation_due():
            self._validate()
        if self._save_due():
            self._save()

    def stepped(self) -> bool:
        """After each step; whether to go on."""
        self._report()
        return not (self.stop.requested or self.reached)

    def _count(self) -> None:
        self.cost.count({}, torch.empty(max(0, self.steps - self._counted)))
        self._counted = self.steps

    def _mean_return(self) -> float | None:
        latest = [info["r"] for info in self.agent.ep_info_buffer or ()]
        return float(sum(latest) / len(latest)) if latest else None

    def _report(self) -> None:
        mean = self._mean_return()
        values: dict[str, float | str] = {} if mean is None else {"mean_return": mean}
        values["steps_per_second"] = (self.steps - self.resumed) / max(time.monotonic() - self._started, 1e-9)
        self.progress.update(
            self.learned.timesteps if self.done else self.steps, self.learned.timesteps, unit="steps", values=values
        )

    # -------------------------------------------------------- validation

    def _validation_due(self) -> bool:
        last = self.epochs[-1].step if self.epochs else 0
        far_enough = (self.steps - last) * VALIDATIONS >= self.learned.timesteps
        return far_enough and self.steps >= VALIDATION_SHARE * self._validation_steps

    def _validate(self) -> None:
        """Play a few episodes as the policy would be served, and keep it when it is the best so far."""
        self.cost.end()
        normalizer = getattr(self.together, "obs_rms", None)
        self.policy.take(acting_layers(self.agent), normalizer and (normalizer.mean, normalizer.var))
        if not all(torch.isfinite(value).all() for value in self.policy.state_dict().values()):
            raise _diverged(self.learned)
        seeds = [VALIDATION_SEED + self.config.seed + number for number in range(VALIDATION_EPISODES)]
        played = play(self._make, lambda observations, _: self.policy.act(observations), seeds)
        self._validation_steps += int(played.lengths.sum())
        mean = float(played.returns.mean())
        now = time.monotonic()
        seconds, self._validated_at = max(now - self._validated_at, 1e-9), now
        since = self.steps - (self.epochs[-1].step if self.epochs else 0)
        if not self.epochs or mean >= max(epoch.validation_metric for epoch in self.epochs):
            self.best = {name: value.clone() for name, value in self.policy.state_dict().items()}
        told = self.agent.logger.name_to_value if hasattr(self.agent, "_logger") else {}
        self.epochs.append(
            Epoch(
                epoch=len(self.epochs) + 1,
                step=self.steps,
                train_loss=_finite(told.get("train/loss", told.get("train/critic_loss"))),
                validation_loss=-mean,
                validation_metric=mean,
                learning_rate=_finite(told.get("train/learning_rate")),
                seconds=seconds,
                samples_per_second=since / seconds,
            )
        )
        self.progress.epoch(len(self.epochs), {"validation_loss": -mean, "meanReward": mean})
        self.cost.begin()

    # -------------------------------------------------------- checkpoints

    def _save_due(self) -> bool:
        every, minutes = self.config.checkpoint_every_steps, self.config.checkpoint_every_minutes
        if self.store.busy:
            return False
        if minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes:
            return True
        return self.steps - self._saved_step >= (every or max(1, self.learned.timesteps // VALIDATIONS))

    def _save(self) -> None:
        state, tensors = capture(self.agent, self.together)
        state |= {
            "epochs": [epoch.model_dump(mode="json") for epoch in self.epochs],
            "returns": self.returns,
            "validation_steps": self._validation_steps,
            "reached": self.reached,
        }
        tensors |= {f"best.{name}": value.clone() for name, value in self.best.items()}
        self.store.save(Snapshot(self.steps, self.recipe, state, tensors))
        self._saved_at, self._saved_step = time.monotonic(), self.steps

    def _restore(self) -> None:
        found = self.store.newest(self.recipe)
        if found is None:
            return
        tensors = {name: found.blank(name) for name in found.layout.tensors}
        found.fill(tensors)
        restore(self.agent, self.together, found.state, tensors)
        self.best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
        self.epochs = [Epoch.model_validate(epoch) for epoch in found.state["epochs"]]
        self.returns = [(int(step), float(mean)) for step, mean in found.state["returns"]]
        self._validation_steps = found.state["validation_steps"]
        self.reached = found.state["reached"]
        self.resumed = self._saved_step = found.step
        self.agent.set_random_seed(self.config.seed + found.step)
        self.progress.note(f"continuing after step {found.step}, in new episodes")


class _Between(BaseCallback):
    def __init__(self, training: Training) -> None:
        super().__init__()
        self._training = training

    def _on_rollout_start(self) -> None:
        self._training.between()

    def _on_step(self) -> bool:
        return self._training.stepped()


def _finite(value: Any) -> float:
    """What the library logged last; 0 before it has learned."""
    return float(value) if value is not None and math.isfinite(value) else 0.0


@contextmanager
def _faults(learned: ReinforcementConfig) -> Iterator[None]:
    """Turn what the library raises into errors that say what to do."""
    try:
        yield
    except ValueError as error:
        if "satisfy the constraint" not in str(error):  # torch's words for a distribution without finite parameters
            raise
        raise _diverged(learned) from error
    except MemoryError as error:
        raise StageError(
            Reason.OUT_OF_MEMORY,
            "the agent ran out of memory",
            where="train.reinforcement.bufferSize",
            cure="lower bufferSize, rolloutSteps or environments, or give training more memory",
        ) from error


def _diverged(learned: ReinforcementConfig) -> StageError:
    return StageError(
        Reason.TRAINING_DIVERGED,
        "the policy is no longer made of finite numbers",
        where="train.reinforcement.learningRate",
        cure=f"lower it (now {learned.learning_rate:g}), or scale rewards and observations to about -10 to 10",
    )
