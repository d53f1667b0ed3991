"""Starting the double from a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[3]
_START_SECONDS = 30


class Double:
    """A running double: its address, and what a test asks of it."""

    def __init__(
        self,
        state: Path,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """`options` are those of the command line, without --state; `within` is a command that runs it, as `nsenter`
        does in another network."""
        self.state = state
        self._within = list(within)
        self._options = list(options)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start, or start again: at the same port and with the same state."""
        port = ["--port", self.url.rpartition(":")[2]] if self.url else []
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "double.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    *self._within,
                    sys.executable,
                    "-m",
                    "tests.doubles.kfp",
                    "--state",
                    str(self.state),
                    *self._options,
                    *port,
                ],
                cwd=_ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError((self.state / "double.log").read_text()[-2000:])

    def stop(self) -> None:
        """End it with its steps."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: its steps go on."""
        self._end(signal.SIGKILL)

    def fail(self, **fault: Any) -> None:
        """Ask for a fault; see `faults`."""
        self._ask("POST", "/double/faults", fault)

    def heal(self) -> None:
        self._ask("DELETE", "/double/faults")

    def script(self, *scripts: Mapping[str, Any]) -> None:
        """Say how simulated steps and pods behave from now on; see `scripts`."""
        self._ask("POST", "/double/scripts", {"scripts": list(scripts)})

    def calls(self) -> dict[str, int]:
        """How often each call was made, whatever became of it."""
        found: dict[str, int] = self._ask("GET", "/double/calls")
        return found

    def runs(self) -> list[dict[str, Any]]:
        """All runs with what the API does not show: tasks' exit codes, errors, attempts."""
        found: list[dict[str, Any]] = self._ask("GET", "/double/runs")
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._context()) as answer:
            return json.load(answer)

    def _context(self) -> Any:
        import ssl

        return ssl.create_default_context(cafile=str(self.state / "ca.crt")) if self.url.startswith("https") else None

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(_START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def running(state: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Double]:
    """A double for the time of a `with` block; whatever it started ends with it."""
    double = Double(state, options, environment)
    double.start()
    try:
        yield double
    finally:
        double.stop()
        _sweep(state)


def _sweep(state: Path) -> None:
    """End steps that outlived a double that was killed."""
    from tests.doubles.kfp import steps
    from tests.doubles.kfp.store import Step, Store

    tasks = [task for run in Store(state).runs.values() for task in run.tasks]
    left = [task.step for task in tasks if isinstance(task.step, Step)]
    for step in left:
        steps.kill(step)
    deadline = time.monotonic() + 5
    while any(steps.alive(step) for step in left) and time.monotonic() < deadline:
        time.sleep(0.05)
