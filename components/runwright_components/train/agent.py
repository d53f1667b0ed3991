"""Workers under torchrun's elastic agent, seen from the stage: start, progress, stop, and what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress
from runwright_components.train.job import AGENT_FAILURE, EVENTS, JOB, Deaths, Failure, Job, read_failures
from runwright_components.train.launch import STOP_SECONDS
from runwright_components.train.signals import StopSignal, cancelled

POLL_SECONDS = 0.1


def run_agent(job: Job, progress: Progress) -> None:
    """Run `job` in `job.config.processes` workers. Raises StageError with the first worker's failure."""
    with tempfile.TemporaryDirectory(prefix="runwright-train-") as name, StopSignal() as stop:
        folder = Path(name)
        job.model_copy(update={"folder": name}).write(folder, JOB)
        stop.deferred = True
        code, log = _follow(job, folder, stop, progress)
        error = failure_of(folder, code, log)
        if error is not None:
            raise error


def _follow(job: Job, folder: Path, stop: StopSignal, progress: Progress) -> tuple[int, str]:
    relay = EventRelay(folder / EVENTS, progress)
    environment = dict(os.environ)
    # As torchrun does, so that workers do not fight for cores; a resumed training must sum in the same order, too.
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // job.config.processes)))
    command = [sys.executable, "-m", "runwright_components.train.launch", str(folder)]
    with (folder / "agent.log").open("w+", errors="replace") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            forwarded = False
            while process.poll() is None:
                relay.poll()
                if stop.requested and not forwarded:
                    process.send_signal(signal.SIGTERM)
                    forwarded = True
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()  # its workers ask the kernel to die with it
                process.wait()
        relay.poll()
        log.seek(0)
        return process.returncode, log.read()


class EventRelay:
    """Hands on the events that workers append to a file."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._offset = 0

    def poll(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            event = Event.model_validate_json(line)
            if event.kind == "progress" and event.done is not None:
                self._progress.update(event.done, event.total, unit=event.unit, values=event.values)
            elif event.kind == "epoch" and event.done is not None:
                self._progress.epoch(int(event.done), {name: float(value) for name, value in event.values.items()})
            else:
                self._progress.emit(event.kind, event.message)


def failure_of(folder: Path, code: int, log: str) -> StageError | None:
    """The one error that explains how the agent ended; None when all went well.

    A worker that a signal killed explains the others, whose connections it broke; else the first failure does. Long
    after the first failure, the agent itself kills workers that do not stop.
    """
    if code == 0:
        return None
    deaths = Deaths.read(folder, AGENT_FAILURE).workers if (folder / AGENT_FAILURE).exists() else ()
    failures = read_failures(folder)
    agents = failures[0].time + STOP_SECONDS / 2 if failures else float("inf")
    killed = [death for death in deaths if death.signal not in ("", "SIGTERM") and death.time < agents]
    if killed:
        first = min(killed, key=lambda death: death.time)
        hint = (
            "the machine probably ran out of memory: lower train.batchSize or the number of processes"
            if first.signal == "SIGKILL"
            else "see the last lines; continue with `runwright run --resume`"
        )
        return _worker_failed(f"rank {first.rank} was killed by {first.signal}", first.log, hint)
    if failures:
        return _of_failure(failures[0])
    if code in (30, -signal.SIGTERM, -signal.SIGINT):
        return cancelled()
    if deaths:
        first = min(deaths, key=lambda death: death.time)
        message = f"rank {first.rank} ended with exit code {first.exit_code}"
        return _worker_failed(message, first.log, "see the last lines")
    ending = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    lines = "\n".join(log.splitlines()[-12:])
    return _worker_failed(f"the elastic agent {ending}", lines, "continue with `runwright run --resume`")


def _of_failure(failure: Failure) -> StageError:
    message = failure.message
    if failure.reason == Reason.INTERNAL:
        message = f"rank {failure.rank}: {message}"
    return StageError(Reason(failure.reason), message, cure=failure.cure, where=failure.where)


def _worker_failed(message: str, log: str, cure: str) -> StageError:
    return StageError(Reason.WORKER_FAILED, f"{message}\n{log}" if log else message, where="train", cure=cure)
