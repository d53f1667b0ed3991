"""A network namespace for one tier, joined to the machine by a pair of devices with a /30 of their own.

Whoever holds the lock of a slot owns its namespace; the kernel frees the lock when the holder dies, so that what a
killed tier left is told from what is in use. There is no route out: what runs inside reaches the machine's end and
nothing else.
"""

from __future__ import annotations

import fcntl
import ipaddress
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LOCKS = Path("/run/runwright-tier")
RANGE = ipaddress.ip_network("10.99.0.0/24")
SLOTS = 64
INSIDE = "cluster"


@dataclass
class Network:
    """A slot that is ours: namespace, devices and addresses follow from its number."""

    slot: int
    lock: IO[str] = field(repr=False)

    @classmethod
    def claim(cls, slots: Iterable[int] = range(SLOTS)) -> Network:
        """Takes the first free slot and makes its namespace. Raises RuntimeError when none is free."""
        LOCKS.mkdir(mode=0o700, exist_ok=True)
        for slot in slots:
            lock = (LOCKS / f"{slot}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            network = cls(slot, lock)
            network._remove()
            network._make()
            return network
        raise RuntimeError("every slot for a tier is taken on this machine")

    @property
    def name(self) -> str:
        """The namespace; the machine's end of the pair has the same name."""
        return f"rw-tier-{self.slot}"

    @property
    def outside(self) -> str:
        """The machine's own address on the pair."""
        return str(RANGE[4 * self.slot + 1])

    @property
    def inside(self) -> str:
        """The cluster's address on the pair."""
        return str(RANGE[4 * self.slot + 2])

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command that shall run inside; it becomes that command, with the same process id."""
        return ("nsenter", f"--net=/run/netns/{self.name}", "--")

    def release(self) -> None:
        """Removes the namespace, with it the devices, and frees the slot."""
        self._remove()
        self.lock.close()

    def _make(self) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self.name, "type", "veth", "peer", "name", INSIDE, "netns", self.name)
        _ip("address", "add", f"{self.outside}/30", "dev", self.name)
        _ip("link", "set", self.name, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "address", "add", f"{self.inside}/30", "dev", INSIDE)
        _ip("-n", self.name, "link", "set", INSIDE, "up")

    def _remove(self) -> None:
        # A namespace lives on while a process of it does, its devices too: the machine's end goes by name.
        if Path(f"/sys/class/net/{self.name}").exists():
            _ip("link", "delete", self.name)
        if Path(f"/run/netns/{self.name}").exists():
            _ip("netns", "delete", self.name)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
