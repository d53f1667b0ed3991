"""What the tests of the commands share: a command that runs, and what the operator writes."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.tier.api import Api
from tests.doubles.runs.objects import NAME, condition

KIND = ("runwright.dev/v1alpha1", "TrainingRun")
RUN = {"id": "0b1c", "attempt": "penguins-1-r2-a1", "url": "http://kubeflow/#/runs/0b1c"}
SERVING = (condition("Ready", "True", "Serving", "it serves"), condition("Reconciling", "False"))
UNDER_WAY = (
    condition("Ready", "False", "InProgress", "revision 2 is being made; revision 1 keeps serving"),
    condition("Reconciling", "True", "InProgress", "revision 2 is being made"),
)
FAILURE = {
    "stage": "train",
    "reason": "OOMKilled",
    "message": "it needs more than 8Gi",
    "pod": "penguins-r2-worker-0",
    "exitCode": 137,
    "log": ["epoch 3", "Killed"],
    "logUri": "s3://logs/r2",
}

Cli = Callable[..., subprocess.CompletedProcess[str]]


class Running:
    """A command that runs, and its lines as they come."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))

    def until(self, text: str, seconds: float = 120.0) -> str:
        """Wait for a line with `text`."""
        while True:
            try:
                self.lines.append(self._queue.get(timeout=seconds))
            except queue.Empty:
                pytest.fail(f"no {text!r} in {self.lines}")
            if text in self.lines[-1]:
                return self.lines[-1]

    def ended(self, seconds: float = 120.0) -> int:
        return self.process.wait(seconds)


def spec_of(api: Api, namespace: str) -> dict[str, Any]:
    return dict(api.get(*KIND, NAME, namespace)["spec"])
