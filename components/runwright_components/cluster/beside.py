"""Runwright's part of a training in an image that holds none of it (`python -m runwright_components.cluster.beside`).

`fetch` runs before the user's command: it brings the prepared data and the newest checkpoint into the shared folder.
`keep` runs beside it and keeps checkpoints and progress in storage. SIGTERM says that the command has ended, well or
not: the pod's status tells which. Then the first node's `keep` checks what the command left, and stores the model.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runwright_components.cluster.manifests.beside import FIRST_ROLES, FOLDER_ENV, READY, ROLE_ENV, places
from runwright_components.cluster.manifests.training_pod import PREPARED_ENV, TRAIN_ENV
from runwright_components.cluster.mirror import ProgressMirror
from runwright_components.cluster.own_checkpoints import OwnCheckpoints, fetch_own_checkpoint
from runwright_components.cluster.storage import CHECKPOINTS, MODEL, Place, fetch_folder, place, store_folder
from runwright_components.cluster.worker import leaving_words
from runwright_components.contract.artifacts import PreparedManifest
from runwright_components.contract.cluster import CLUSTER_ENV, ClusterRun
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.progress import Progress
from runwright_components.contract.workplace import RESUME_ENV
from runwright_components.train.code.metrics import Metrics
from runwright_components.train.code.runner import Runner
from runwright_components.train.code.taking import take_export
from runwright_components.train.code.workplace import Workplace, emptied, lay_out
from runwright_components.train.signals import StopSignal

POLL_SECONDS = 0.5
PR_SET_DUMPABLE = 4  # prctl(2)


@dataclass(frozen=True)
class Task:
    """What the pod's manifest tells both containers."""

    run: ClusterRun
    config: TrainConfig
    prepared_uri: str
    folder: Path
    resume: bool
    first: bool  # of the nodes; it exports the model

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Task:
        """Raises StageError (InvalidConfig)."""
        run: ClusterRun = parse(ClusterRun, environment.get(CLUSTER_ENV, ""))
        config: TrainConfig = parse(TrainConfig, environment.get(TRAIN_ENV, ""))
        return cls(
            run,
            config.model_copy(update={"processes": run.job.processes_per_node, "max_restarts": 0}),
            environment.get(PREPARED_ENV, ""),
            Path(environment[FOLDER_ENV]),
            environment.get(RESUME_ENV) == "1",
            run.job.nodes == 1 or environment.get(ROLE_ENV) in FIRST_ROLES,
        )

    @property
    def storage(self) -> Place:
        return place(self.run.storage)

    def workplace(self) -> Workplace:
        """The shared folder, once the prepared data are there."""
        shared = places(self.folder, resume=self.resume)
        prepared = self.folder / "prepared"
        return Workplace.at(self.folder, prepared=prepared, checkpoints=shared.checkpoints, resume=self.resume)


def fetch(task: Task) -> None:
    """Fill the shared folder. Raises StageError."""
    if task.first:
        task.storage.under(MODEL).remove()  # of an attempt before, which must not pass for this one's
    emptied(task.folder)
    fetch_folder(place(task.run.storage, task.prepared_uri), task.folder / "prepared")
    if task.resume:
        fetch_own_checkpoint(task.storage.under(CHECKPOINTS), places(task.folder, resume=True).checkpoints)
    lay_out(task.config, task.workplace())


def keep(task: Task, ended: threading.Event) -> None:
    """Mirror until the command has ended, then take its model. Raises StageError."""
    work, storage = task.workplace(), task.storage
    with (
        ProgressMirror(storage, enabled=task.first) as told,
        OwnCheckpoints(
            work.checkpoints, storage.under(CHECKPOINTS), keep=task.config.checkpoint_keep, enabled=task.first
        ),
    ):
        progress = Progress("train", sink=told)
        metrics = Metrics(work.metrics, progress, rows=PreparedManifest.read(work.prepared).rows["train"])
        (task.folder / READY).touch()
        began = time.monotonic()
        while not ended.wait(POLL_SECONDS):
            metrics.poll()
        metrics.poll()
        seconds = time.monotonic() - began
    if task.first:
        _take_model(task, work, metrics, progress, seconds)


def _take_model(task: Task, work: Workplace, metrics: Metrics, progress: Progress, seconds: float) -> None:
    work.check_untouched()
    with tempfile.TemporaryDirectory(prefix="runwright-") as folder:
        out = Path(folder) / "model"
        take_export(
            task.config,
            work,
            metrics,
            exported=Runner(task.config, work, StopSignal(), progress).exported,
            out=out,
            progress=progress,
            nodes=task.run.job.nodes,
            device="cuda" if task.run.job.gpus_per_node else "cpu",
            seconds=seconds,
        )
        store_folder(out, task.storage.under(MODEL))


def main(arguments: list[str] | None = None) -> int:
    """Do the part that the one argument names. Returns the exit code."""
    _hide()
    ended = threading.Event()
    parts: dict[str, Callable[[Task], None]] = {"fetch": fetch, "keep": lambda task: keep(task, ended)}
    (name,) = sys.argv[1:] if arguments is None else arguments
    if name == "keep":
        signal.signal(signal.SIGTERM, lambda _signal, _frame: ended.set())
    return leaving_words(lambda: parts[name](Task.of(os.environ)))


def _hide() -> None:
    """Keep the environment, with the storage's credentials, from the command: it sees our process, of the same user."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)


if __name__ == "__main__":
    sys.exit(main())
