"""Runs a compiled pipeline on this machine through KFP's own local runner.

KFP starts each step as a process of its own and talks a lot; its words go to WORKSPACE/logs/pipeline.log. What a person
follows are the events that the steps append to WORKSPACE/progress.jsonl, which a thread hands to `on_event`.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from runwright_components.contract.artifacts import Registration
from runwright_components.contract.evaluation import EVALUATION, Evaluation
from runwright_components.contract.files import link_or_copy
from runwright_components.contract.progress import PROGRESS_ENV, Event
from runwright_components.contract.step import NO_CACHE_ENV, RESUME_ENV, WORKSPACE_ENV
from runwright_pipelines.workspace import Lock, Workspace

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Settings:
    """How a run is done. `base` is the folder that relative paths of the TrainingRun start from."""

    workspace: Path
    base: Path
    run_name: str
    resume: bool = False
    use_cache: bool = True


@dataclass(frozen=True)
class Result:
    """How a run ended. `failure` is the event of the stage that failed; `evaluation` is there when one was made."""

    finished: bool
    cancelled: bool = False
    failure: Event | None = None
    evaluation: Evaluation | None = None
    registration: Registration | None = None
    report: Path | None = None
    log: Path | None = None

    @property
    def rejected(self) -> bool:
        return self.finished and self.evaluation is not None and self.evaluation.verdict == "rejected"


def run(ir: str, settings: Settings, on_event: Callable[[Event], None]) -> Result:
    """Run the pipeline `ir`, a text that `compiling.compile` made. `on_event` is called from a thread.

    Raises StageError when the workspace cannot be used. A failing stage is in the result.
    """
    workspace = Workspace(settings.workspace)
    with workspace.locked() as lock, _folder_of_temporaries() as temporaries:
        workspace.progress.write_bytes(b"")
        follower = Follower(workspace.progress, on_event)
        with _environment(_variables(workspace, settings, temporaries)), _cancelling(lock) as cancel, follower:
            finished = _execute(ir, workspace, settings, temporaries)
        workspace.prune()
        return _result(workspace, finished=finished, cancelled=cancel.is_set(), failure=follower.failure)


def _execute(ir: str, workspace: Workspace, settings: Settings, temporaries: Path) -> bool:
    from kfp import components, local

    safe = Aliases(temporaries)
    with (
        workspace.log.open("w", buffering=1, encoding="utf-8", errors="replace") as log,
        redirect_stdout(log),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=safe(workspace.artifacts),
            workspace_root=str(temporaries / "kfp"),
            raise_on_error=True,
            enable_caching=False,
        )
        pipeline = components.load_component_from_text(ir)
        try:
            pipeline(base=safe(settings.base.absolute()), run_name=settings.run_name)
        except RuntimeError as error:  # how kfp says that a task failed; the task's own event says why
            log.write(f"{error}\n")
            return False
    return True


class Aliases:
    """Paths as KFP's local runner can take them.

    It replaces `python3` and `{{...}}` wherever they stand in a task's arguments, paths included. A path with such a
    text gets a symbolic link without it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, path: Path) -> str:
        if not any(text in str(path) for text in ("python3", "{{", "/kfp-workspace")):
            return str(path)
        path.mkdir(parents=True, exist_ok=True)
        alias = self._folder / f"alias-{len(list(self._folder.iterdir()))}"
        alias.symlink_to(path, target_is_directory=True)
        return str(alias)


class Follower:
    """Reads the events that steps append to a file, for as long as the block lasts."""

    def __init__(self, path: Path, on_event: Callable[[Event], None]) -> None:
        self.failure: Event | None = None
        self._path = path
        self._on_event = on_event
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _follow(self) -> None:
        rest = b""
        with self._path.open("rb") as file:
            while True:
                last = self._end.is_set()
                rest = self._hand_out(rest + file.read())
                if last:
                    return
                self._end.wait(POLL_SECONDS)

    def _hand_out(self, text: bytes) -> bytes:
        *lines, rest = text.split(b"\n")
        for line in lines:
            try:
                event = Event.model_validate_json(line)
            except ValidationError:
                continue  # torn by a kill
            if event.kind == "failed":
                self.failure = event
            self._on_event(event)
        return rest


def _result(workspace: Workspace, *, finished: bool, cancelled: bool, failure: Event | None) -> Result:
    if not finished:
        return Result(finished=False, cancelled=cancelled, failure=failure, log=workspace.log)
    evaluated = workspace.artifact("evaluation")
    evaluation = Evaluation.read(evaluated, EVALUATION) if evaluated else None
    registered = workspace.artifact("registration")
    registration = None
    if registered and evaluation and evaluation.verdict == "passed":
        registration = Registration.read(registered.parent, registered.name)
    return Result(
        finished=True,
        evaluation=evaluation,
        registration=registration,
        report=_publish_report(workspace),
        log=workspace.log,
    )


def _publish_report(workspace: Workspace) -> Path | None:
    page = workspace.artifact("report")
    if page is None:
        return None
    fresh = workspace.report.with_name(".report.html")
    fresh.unlink(missing_ok=True)
    link_or_copy(page, fresh)
    return fresh.replace(workspace.report)


def _variables(workspace: Workspace, settings: Settings, temporaries: Path) -> dict[str, str | None]:
    return {
        WORKSPACE_ENV: str(workspace.root),
        PROGRESS_ENV: str(workspace.progress),
        RESUME_ENV: "1" if settings.resume else None,
        NO_CACHE_ENV: None if settings.use_cache else "1",
        "TMPDIR": str(temporaries),
        **bytecode(os.environ),
    }


def bytecode(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Let steps use compiled bytecode where the environment forbids to write it beside the sources and there is none.

    Four processes that compile Polars and torch from source each time cost half a minute.
    """
    spec = importlib.util.find_spec("pydantic")
    compiled = spec and spec.origin and Path(importlib.util.cache_from_source(spec.origin)).exists()
    if compiled or not environment.get("PYTHONDONTWRITEBYTECODE"):
        return {}
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return {"PYTHONDONTWRITEBYTECODE": None, "PYTHONPYCACHEPREFIX": str(Path(home) / "runwright" / "pycache")}


@contextmanager
def _environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set (or, with None, remove) environment variables for the steps; KFP hands them this process's own."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _folder_of_temporaries() -> Iterator[Path]:
    """Where steps put what they need for a moment: KFP leaves a folder behind for each."""
    with tempfile.TemporaryDirectory(prefix="runwright-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _cancelling(lock: Lock) -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an orderly end: the first lets go of the lock, which ends the step that runs; a
    second one ends this process at once, and the step with it."""
    cancelled = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancelled
        return

    def handle(_signal: int, _frame: FrameType | None) -> Any:
        if cancelled.is_set():
            os._exit(130)
        cancelled.set()
        lock.let_go()

    before = {name: signal.signal(name, handle) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancelled
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        sys.stdout.flush()
