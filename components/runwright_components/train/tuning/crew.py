"""The processes that train trials, seen from the search: give them orders, hear them, stop them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from runwright_components.contract.outcome import Reason
from runwright_components.train.job import Job
from runwright_components.train.tuning.trial import GIVE_UP, GO_ON, Order, Word

STOP_SECONDS = 30.0  # for trials to write a checkpoint
LOG_LINES = 12


class Worker:
    """One process, which is started when it gets its first order."""

    def __init__(self, environment: Mapping[str, str], log: IO[bytes]) -> None:
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self.number: int | None = None  # of the trial that it trains

    def give(self, order: Order) -> None:
        if self._process is None:
            self._log.truncate(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runwright_components.train.tuning.trial"],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,  # a Ctrl-C reaches the search alone
            )
        self.number = order.number
        self._send(order.model_dump_json())

    def answer(self, *, go_on: bool) -> None:
        self._send(GO_ON if go_on else GIVE_UP)

    @property
    def output(self) -> IO[bytes] | None:
        return None if self._process is None else self._process.stdout

    def hear(self) -> Iterator[Word]:
        """What it has said by now; the end of the process is a word, too."""
        assert self._process is not None
        assert self._process.stdout is not None
        content = os.read(self._process.stdout.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            word = Word.model_validate_json(line)
            if word.kind != "epoch":
                self.number = None
            yield word
        if not content:
            yield from self._died()

    def _died(self) -> Iterator[Word]:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        if self.number is not None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
            error = {
                "reason": str(Reason.WORKER_FAILED),
                "message": "\n".join([f"the process of trial {self.number} {how}", *last]),
                "cure": "if memory was short, lower tune.parallel, train.batchSize or the sizes in the search space",
            }
            number, self.number = self.number, None
            yield Word(number=number, kind="failed", error=error)

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout: float) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._process, self._rest = None, b""

    def _send(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is heard soon
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


class Crew:
    """`size` workers, each with its share of the machine's cores and GPUs."""

    def __init__(self, size: int, *, processes: int, devices: Sequence[str]) -> None:
        self._open = contextlib.ExitStack()
        self.workers = [
            Worker(_environment(slot, size, processes, devices), self._open.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
            for slot in range(size)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.close()
        self._open.close()

    def idle(self) -> Worker | None:
        return next((worker for worker in self.workers if worker.number is None), None)

    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.number is not None]

    def of(self, number: int) -> Worker | None:
        """The worker that trains a trial."""
        return next((worker for worker in self.workers if worker.number == number), None)

    def give(self, worker: Worker, number: int, job: Job, metric: str, *, asks: bool) -> None:
        worker.give(Order(number=number, job=job, metric=metric, asks=asks))

    def listen(self, timeout: float) -> list[tuple[Worker, Word]]:
        """What the busy workers have said, waiting up to `timeout` seconds for a first word."""
        with selectors.DefaultSelector() as selector:
            for worker in self.busy():
                if worker.output is not None:
                    selector.register(worker.output, selectors.EVENT_READ, worker)
            ready = selector.select(timeout)
        return [(key.data, word) for key, _ in ready for word in key.data.hear()]

    def cancel(self) -> None:
        """Ask the trials to write a checkpoint and end; those that take too long are killed."""
        for worker in self.busy():
            worker.answer(go_on=True)  # it may be waiting for that
            worker.signal(signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        while self.busy() and time.monotonic() < until:
            for worker, word in self.listen(0.2):
                if word.kind == "epoch":
                    worker.answer(go_on=True)


def _environment(slot: int, size: int, processes: int, devices: Sequence[str]) -> dict[str, str]:
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // (size * processes))))
    if devices:
        mine = [devices[(slot * processes + place) % len(devices)] for place in range(processes)]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(mine))
    return environment


def devices() -> list[str]:
    """The GPUs of NVIDIA that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them; torch, which
    takes seconds to load, is not asked."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    found = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted(found, key=int)
