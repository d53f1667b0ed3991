"""How a step runs a stage: its surroundings, its events, and what becomes of an error."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from runwright_components.cache import ResultCache, cache_key
from runwright_components.contract import lifeline
from runwright_components.contract.cluster import StageFault
from runwright_components.contract.files import disk_errors, write_bytes
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import PROGRESS_ENV, Event, Kind, Progress, file_sink
from runwright_components.contract.step import (
    CACHE,
    CHECKPOINTS,
    LOGS,
    NO_CACHE_ENV,
    REGISTRY,
    RESUME_ENV,
    WORKSPACE_ENV,
    StageName,
)
from runwright_components.steps import lineage
from runwright_components.steps.surroundings import in_cluster

TRACE_LINES = 12  # of an unexpected exception, that the event carries


@dataclass(frozen=True)
class Surroundings:
    """Where a step runs. On one machine it has a workspace; in a cluster it has none."""

    workspace: Path | None
    resume: bool = False
    use_cache: bool = True

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Surroundings:
        workspace = environment.get(WORKSPACE_ENV)
        return cls(
            workspace=Path(workspace) if workspace else None,
            resume=environment.get(RESUME_ENV) == "1",
            use_cache=environment.get(NO_CACHE_ENV) != "1",
        )

    @cached_property
    def version(self) -> str:
        from importlib.metadata import version

        return version("runwright")

    @property
    def registry(self) -> str:
        """Where packages go when the TrainingRun names no place."""
        return str(self.workspace / REGISTRY) if self.workspace else ""

    def former(self, stage: StageName, output: str) -> Path | None:
        """What the revision before this one left: the output's folder, on one machine; in a cluster what of it was
        given to `leave`. None where there is nothing. Raises StageError when the storage cannot be read."""
        if self.workspace:
            return ResultCache(self.workspace / CACHE).newest(stage, output)
        if (cluster := in_cluster()) is None:
            return None
        from runwright_components.cluster.former import fetch_former

        return fetch_former(cluster.run, stage, output, Path(self._temporary.name) / stage / output)

    def leave(self, stage: StageName, output: str, files: Mapping[str, Path]) -> None:
        """Leave files of an output, by their names in its folder, for the next revision's `former`. On one machine the
        result cache has them. Raises StageError."""
        if self.workspace is None and (cluster := in_cluster()) is not None:
            from runwright_components.cluster.former import leave

            leave(cluster.run, stage, output, files)

    @cached_property
    def _temporary(self) -> tempfile.TemporaryDirectory[str]:
        """Goes with this object."""
        return tempfile.TemporaryDirectory(prefix="runwright-")

    @contextmanager
    def checkpoints(self, key: str, *, beside: Path) -> Iterator[Path]:
        """The folder of the checkpoints of the training `key`; without a workspace, beside the model.

        They stay when the training is cut short, for --resume, and go when it is done.
        """
        root = self.workspace / CHECKPOINTS if self.workspace else beside.parent / CHECKPOINTS
        folder = root / key[:32]
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    def kept(
        self,
        stage: StageName,
        *,
        config: str,
        inputs: Callable[[], Mapping[str, str]],
        outputs: Mapping[str, Path],
        make: Callable[[Progress, str], None],
        say: Callable[[], str],
        result: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Run a stage, or take its outputs from the result cache when nothing that decides them changed.

        `inputs` gives the digests of what the stage reads; `make` gets the key of the result; `say` fills the
        artifacts' metadata from what lies in the outputs, and tells it in a few words; `result` is what a cluster's
        record keeps of them.
        """
        with running(stage, self.workspace) as ending:
            progress, began, decisive = ending.progress, lineage.now(), inputs()
            key = cache_key(stage, config=config, inputs=decisive, version=self.version)
            cache = ResultCache(self.workspace / CACHE) if self.workspace else None
            if cache and self.use_cache and cache.take(stage, key, outputs):
                ending.kind = "cached"
            else:
                make(progress, key)
                if cache:
                    _keep(cache, stage, key, outputs, progress)
            ending.message, ending.result = say(), result()
            self._trace(stage, began, decisive, outputs, progress)

    def _trace(
        self,
        stage: StageName,
        began: datetime,
        inputs: Mapping[str, str],
        outputs: Mapping[str, Path],
        progress: Progress,
    ) -> None:
        """Tell the lineage of a stage that ended well. What goes wrong here is a warning: the result is there."""
        cluster = in_cluster()
        server = os.environ.get(lineage.URL_ENV) or (cluster.run.openlineage_url if cluster else None)
        if self.workspace is None and not server:
            return
        run = (
            f"{cluster.run.namespace}/{cluster.run.name}" if cluster else self.workspace.name if self.workspace else ""
        )
        try:
            sources, written = lineage.written(run, outputs)
            told = lineage.events(
                stage,
                run=run,
                began=began,
                ended=lineage.now(),
                inputs=(*sources, *lineage.read(run, inputs)),
                outputs=written,
                parent=cluster.run_id if cluster else None,
            )
            lineage.tell(told, self.workspace, server)
        except Exception as error:  # noqa: BLE001 (a server's word, or its silence, decides nothing)
            progress.warning(f"the lineage of {stage} was not told: {error}")


def _keep(cache: ResultCache, stage: str, key: str, outputs: Mapping[str, Path], progress: Progress) -> None:
    try:
        cache.put(stage, key, outputs)
    except (StageError, OSError) as error:
        progress.warning(f"the result was not kept for later runs: {error}")


@dataclass
class Ending:
    """What the last event of a stage says."""

    progress: Progress
    kind: Kind = "done"
    message: str = ""
    skipped: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)  # what a cluster's record keeps of the stage


class FailedBefore(Exception):  # noqa: N818 (no error of this process)
    """The stage failed by its own word before KFP started the step again: doing it again would end the same way."""

    def __init__(self, fault: StageFault) -> None:
        super().__init__(fault.message)
        self.exit_code = fault.exit_code or int(ExitCode.INTERNAL)


@contextmanager
def running(stage: StageName, workspace: Path | None) -> Iterator[Ending]:
    """Emit the stage's events; turn any exception into a `failed` event and the exit code of the process.

    Start and end are told here, once, with the time of all that belongs to the stage (its page, the result cache);
    the stage's own word for them is dropped. In a cluster the same is written to the stage's record.
    """
    here = in_cluster()
    record = here.record(stage) if here else None
    to_file = file_sink(os.environ.get(PROGRESS_ENV))

    def outer(event: Event) -> None:
        to_file(event)
        if record is not None:
            record.heard(event)

    progress = Progress(stage, sink=outer)
    began = time.monotonic()
    ending = Ending(
        Progress(stage, sink=lambda event: None if event.kind in ("start", "done", "epoch") else outer(event))
    )
    try:
        if record is not None and (before := record.failed_before()) is not None:
            raise FailedBefore(before)
        progress.emit("start")
        with disk_errors(workspace or Path.cwd()):
            yield ending
        if record is not None:
            record.end("skipped" if ending.skipped else "succeeded", result=ending.result)
    except FailedBefore as error:
        print(f"it failed before: {error}", file=sys.stderr, flush=True)  # noqa: T201 (the pod's log)
        raise SystemExit(error.exit_code) from None
    except BaseException as error:  # noqa: BLE001 (every end of a stage is told, and ends the process)
        failure = as_stage_error(error)
        details: dict[str, Any] = {**failure.as_dict(), "exitCode": int(failure.exit_code)}
        if failure.reason is Reason.INTERNAL:
            trace = "".join(traceback.format_exception(error))
            details["trace"] = trace.splitlines()[-TRACE_LINES:]
            details["log"] = _write_trace(stage, trace, workspace)
            print(trace, file=sys.stderr, flush=True)  # noqa: T201 (the pod's log)
        progress.emit("failed", failure.message, error=details)
        if record is not None and not isinstance(error, KeyboardInterrupt):  # which only ends this pod
            record.failed(failure, log=tuple(details.get("trace", ())))
        raise SystemExit(int(failure.exit_code)) from None
    values: dict[str, float | str] = {"seconds": round(time.monotonic() - began, 3)}
    if ending.skipped:
        values["skipped"] = "yes"
    progress.emit(ending.kind, ending.message, values=values)


def as_stage_error(error: BaseException) -> StageError:
    """The failure that a person reads, for any exception."""
    if lifeline.was_cut() or isinstance(error, KeyboardInterrupt):
        return StageError(Reason.CANCELLED, "cancelled", cure="start it again with --resume to go on")
    if isinstance(error, StageError):
        return error
    if _out_of_memory(error):
        return StageError(
            Reason.OUT_OF_MEMORY,
            f"out of memory: {error}".removesuffix(": "),
            cure="lower train.batchSize or data.maxRows, shrink the model, or use a machine with more memory",
        )
    return StageError(
        Reason.INTERNAL,
        f"{type(error).__name__}: {error}",
        cure="this is a defect of Runwright or of code that it was given; please report it with the log",
    )


def _out_of_memory(error: BaseException) -> bool:
    # torch raises OutOfMemoryError on a GPU and a RuntimeError on the CPU; importing torch to ask would cost seconds.
    text = str(error).lower()
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text
    )


def _write_trace(stage: str, trace: str, workspace: Path | None) -> str:
    if workspace is None:
        return ""
    return str(write_bytes(workspace / LOGS / f"{stage}.traceback.log", trace.encode()))


def prepare_process() -> None:
    """Tie this process to its runner, and let a second Ctrl-C not break what the first one ends in order."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    lifeline.hold(os.environ)
