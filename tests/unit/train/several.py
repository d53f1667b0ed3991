"""Trainings of several processes, and what tests do to them."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from runwright_components.contract.artifacts import HISTORY, History
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.train import train
from runwright_components.train.worker import NAME


def run(
    config: TrainConfig, prepared: Path, name: str, *, resume: bool = False, progress: Progress | None = None
) -> list[tuple[float, float, float]]:
    folder = prepared.parent
    train(
        config,
        prepared=prepared,
        out=folder / name,
        checkpoints=folder / f"{name}.checkpoints",
        resume=resume,
        progress=progress or silent(),
    )
    epochs = History.read(folder / name, HISTORY).epochs
    return [(epoch.train_loss, epoch.validation_loss, epoch.validation_metric) for epoch in epochs]


def workers() -> dict[int, int]:
    """Process id by rank of the workers below this process."""
    found = {}
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.name)
            name = (path / "comm").read_text().strip()
            if name.startswith(NAME) and os.getpid() in ancestors(pid):
                found[int(name.removeprefix(NAME))] = pid
    return found


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        yield pid


class OnStep(Progress):
    """A listener that acts once training has come to a step."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        super().__init__("train", sink=self._listen, interval=0.0)
        self.told: list[str] = []
        self._step, self._act, self._done = step, act, False

    def _listen(self, event: Event) -> None:
        self.told += [event.message] if event.message else []
        if event.kind == "progress" and (event.done or 0) >= self._step and not self._done:
            self._done = True
            self._act()


def stop() -> None:
    """Ask the training in this process to stop."""
    os.kill(os.getpid(), signal.SIGTERM)


def kill(rank: int) -> None:
    os.kill(workers()[rank], signal.SIGKILL)
