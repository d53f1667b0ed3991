"""A tier that stays: a process of its own holds it until it is told to end.

Its state lies in the cache folder. Whoever holds the lock there is the tier's supervisor, so a process id in the state
is never taken for another's.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.cluster.tier.binaries import binary, cache
from tests.cluster.tier.cluster import Tier

ROOT = Path(__file__).parents[3]
FIRST_START = 3600.0  # seconds: the first start builds every program
END = 60.0
TOOLS = ("kubectl", "helm")


class Kept:
    """A tier that stays, known by its name."""

    tier: type[Tier] = Tier
    module = "tests.cluster.tier"
    """What `python -m` runs to hold it."""
    default = "default"
    make = "cluster"
    """Its targets: make cluster-up, cluster-down."""
    usage = """\
A Kubernetes control plane runs, with 8 simulated GPU nodes, the training operator and KServe.
kubeconfig: {kubeconfig}
logs:       {logs}

    eval "$(python -m tests.cluster.tier env{name})"     # KUBECONFIG, kubectl and helm for this shell
    kubectl get nodes
    pytest tests/cluster                                 # uses this cluster instead of starting one

It ends with: {down}"""

    def __init__(self, name: str) -> None:
        self.folder = cache() / "tiers" / name
        self.name = name
        self._lock = self.folder.with_name(f".{name}.lock")
        self.state_file = self.folder / "state.json"
        self._log = self.folder.with_name(f"{name}.log")

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfigs" / "admin"

    @property
    def tools(self) -> Path:
        """A folder for the PATH, with kubectl and helm."""
        return self.folder / "bin"

    def environment(self) -> dict[str, str]:
        """What a shell needs to use it, and tests to find it."""
        return {"KUBECONFIG": str(self.kubeconfig), "RUNWRIGHT_TEST_KUBECONFIG": str(self.kubeconfig)}

    def state(self) -> dict[str, Any] | None:
        """What the supervisor said of its tier; None when no tier runs."""
        if not self._held() or not self.state_file.exists():
            return None
        return dict(json.loads(self.state_file.read_text()))

    def up(self) -> dict[str, Any]:
        """Starts it, unless it runs, and waits until it is ready. Raises RuntimeError."""
        if not self._held():
            self._spawn()
        end = time.monotonic() + FIRST_START
        while time.monotonic() < end:
            if (found := self.state()) is not None:
                return found
            time.sleep(0.1)
            if not self._held():
                raise RuntimeError(f"the tier did not start; the end of {self._log}:\n{self._log.read_text()[-3000:]}")
        raise RuntimeError(f"the tier was not ready in {FIRST_START:.0f} s; see {self._log}")

    def down(self) -> bool:
        """Ends it and removes its state; False when it did not run."""
        found = self.state()
        if found is None:
            return False
        os.kill(found["pid"], signal.SIGTERM)
        end = time.monotonic() + END
        while self._held():
            if time.monotonic() > end:
                raise RuntimeError(f"the tier did not end in {END:.0f} s; see {self._log}")
            time.sleep(0.1)
        return True

    def hold(self) -> None:
        """The supervisor's own work, in its own process: start, say so, wait for a signal, stop."""
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ended = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: ended.set())
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(mode=0o700, parents=True)
            with self.tier.start(self.folder) as tier:
                self.tools.mkdir()
                for tool in TOOLS:
                    (self.tools / tool).symlink_to(binary(tool))
                part = self.state_file.with_suffix(".part")
                part.write_text(json.dumps(tier.describe(), indent=1))
                part.rename(self.state_file)
                dead: set[str] = set()
                while not ended.wait(1.0):
                    for name, process in tier.processes.items():
                        if not process.running and name not in dead:
                            dead.add(name)
                            print(f"{name} ended; its last lines:\n{process.tail()}", flush=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self) -> None:
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", self.module, "hold", "--name", self.name],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self._held() and supervisor.poll() is None:
            time.sleep(0.05)

    def _held(self) -> bool:
        if not self._lock.parent.exists():
            return False
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
