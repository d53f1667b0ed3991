"""The processes of a tier: each with a log, a way to tell that it is ready, and an end by its own id.

The kernel kills them when the process that started them dies (PDEATHSIG), so that nothing outlives a killed test run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE = 180.0  # seconds until a process must be ready
GRACE = 10.0  # seconds between SIGTERM and SIGKILL
POLL = 0.05
LAST_LINES = 15
# The shell tells a starter that died before the kernel was asked to watch it: its parent is another by then.
_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", '[ $PPID = "$1" ] && shift && exec "$@"', "sh")
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")

# PDEATHSIG means the death of the thread that started the process. A test may call start() in a thread that ends, so
# one thread that lives as long as the interpreter starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tier")


class ProcessDied(RuntimeError):
    """A process of the tier ended, or was not ready in time. The message carries its last log lines."""


def spawn(
    arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Starts a program that dies with us, in a session of its own (a Ctrl-C is ours to pass on), its output in `log`.
    Of our environment it sees only what every program needs: no proxy, no credential."""
    inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with log.open("ab") as output:
        return _starter.submit(
            subprocess.Popen,
            [*_WITH_US, str(os.getpid()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **(environment or {})},
            cwd=cwd,
            start_new_session=True,
        ).result()


class Process:
    """One program of the tier. `ready` is asked only while it runs; errors of the connection mean not yet."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._arguments = tuple(arguments)
        self._ready = ready
        self._environment = dict(environment or {})
        self._popen: subprocess.Popen[bytes] | None = None
        self._wanted = False

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None and self.running else None

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def ended_itself(self) -> int | None:
        """The exit code of one that nobody stopped or killed through here; None while it runs."""
        return self._popen.poll() if self._popen is not None and self._wanted else None

    def start(self, *, wait: float | None = PATIENCE) -> None:
        """Starts it, and waits up to `wait` seconds until it is ready; None: does not wait."""
        if self.running:
            return
        self._wanted = True
        self._popen = spawn(self._arguments, log=self.log, environment=self._environment)
        if wait is not None:
            self.wait(wait)

    def wait(self, seconds: float = PATIENCE) -> None:
        """Waits until it is ready. Raises ProcessDied."""
        end = time.monotonic() + seconds
        while True:
            if self._popen is None or self._popen.poll() is not None:
                code = None if self._popen is None else self._popen.returncode
                raise ProcessDied(f"{self.name} ended with {code}; its last lines:\n{self.tail()}")
            if _truly(self._ready):
                return
            if time.monotonic() > end:
                raise ProcessDied(f"{self.name} was not ready in {seconds:.0f} s; its last lines:\n{self.tail()}")
            time.sleep(POLL)

    def stop(self, grace: float = GRACE) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; does nothing to one that has ended."""
        self._wanted = False
        if self._popen is None:
            return
        if self._popen.poll() is None:
            self._send(signal.SIGTERM)
            self._send(signal.SIGCONT)  # a paused one would never hear it
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        self._wanted = False
        if self._popen is not None:
            self._send(signal.SIGKILL)
            self._popen.wait()

    def restart(self, *, wait: float | None = PATIENCE) -> None:
        self.stop()
        self.start(wait=wait)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def tail(self, lines: int = LAST_LINES) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(line[:500] for line in text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is None or self._popen.poll() is not None:
            raise ProcessDied(f"{self.name} does not run; its last lines:\n{self.tail()}")
        self._send(number)

    def _send(self, number: signal.Signals) -> None:
        if self._popen is not None:
            self._popen.send_signal(number)


def run_again(processes: Iterable[Process]) -> None:
    """Has all of them run and ready, whatever was done to them: stopped, killed or paused."""
    listed = list(processes)
    for process in listed:
        if process.running:
            process.resume()
        process.start(wait=None)
    for process in listed:
        process.wait()


def _truly(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except OSError:
        return False
