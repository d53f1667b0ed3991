"""The node's own world on the machine: its namespaces, its processes, and its part of the cgroup tree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.tier.processes import Process

INIT = Path(__file__).with_name("init.py")
CGROUPS = Path("/sys/fs/cgroup")
# What the kubelet wants of the kernel, and would set for the whole machine.
KERNEL = {
    "/proc/sys/vm/overcommit_memory": "1",
    "/proc/sys/vm/panic_on_oom": "0",
    "/proc/sys/kernel/panic": "10",
    "/proc/sys/kernel/panic_on_oops": "1",
    "/proc/sys/kernel/keys/root_maxkeys": "1000000",
    "/proc/sys/kernel/keys/root_maxbytes": "25000000",
}
END = 30.0  # seconds until the kernel has ended the last process of a node


def first(binds: Mapping[Path, str], ready: Path) -> list[str]:
    """The command of the node's first process (init.py): who kills it ends the node."""
    shown = json.dumps({str(source): target for source, target in binds.items()})
    return [
        *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
        *(sys.executable, "-IS", str(INIT), json.dumps(["/run"]), shown, json.dumps(KERNEL), str(ready)),
    ]


def enter(pid: int) -> list[str]:
    """What to put before a command that shall run in the node whose `unshare` has this process id."""
    return ["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--pid=/proc/{pid}/ns/pid_for_children", "--"]


class NodeProcess(Process):
    """A process inside the node. nsenter, its parent, waits outside: signals go to the process itself."""

    @property
    def pid(self) -> int | None:
        return next(iter(_children(found)), found) if (found := super().pid) is not None else None

    def _send(self, number: signal.Signals) -> None:
        for pid in _children(found) if (found := super().pid) is not None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number in (signal.SIGCONT, signal.SIGKILL):  # nsenter stops together with its child
            super()._send(number)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def make_cgroup(name: str) -> None:
    """A cgroup of this name in every hierarchy, empty; what a killed node left there is removed first."""
    remove_cgroup(name)
    for folder in _cgroups(name):
        folder.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):  # of version 1: empty means none, not all
            if folder.parent.name == "cpuset":
                (folder / setting).write_text((folder.parent / setting).read_text())


def remove_cgroup(name: str) -> None:
    """Removes it with all below, once the last process has gone. Raises RuntimeError when one stays."""
    end = time.monotonic() + END
    for folder in _cgroups(name):
        while folder.exists() and not _removed(folder):
            if time.monotonic() > end:
                raise RuntimeError(f"processes remain in {folder}")
            time.sleep(0.05)


def _removed(folder: Path) -> bool:
    below = sorted((path for path in folder.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    try:
        for path in (*below, folder):
            path.rmdir()
    except OSError:
        return False
    return True


def _cgroups(name: str) -> Iterator[Path]:
    if (CGROUPS / "cgroup.controllers").exists():
        yield CGROUPS / name
    else:
        yield from (
            folder / name for folder in sorted(CGROUPS.iterdir()) if folder.is_dir() and not folder.is_symlink()
        )
