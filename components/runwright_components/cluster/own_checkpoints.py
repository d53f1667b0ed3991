"""Checkpoints of the user's own code in storage: folders whose names end with a number, of whatever layout."""

from __future__ import annotations

import re
from pathlib import Path

from runwright_components.cluster.mirror import Mirror, fetch_newest
from runwright_components.cluster.storage import Place, index_of, store_folder

SECONDS = 5.0
_NUMBERED = re.compile(r"[A-Za-z][A-Za-z0-9_]*-([0-9]{1,18})")

Signs = dict[str, tuple[int, int]]


class OwnCheckpoints(Mirror):
    """Copies each checkpoint to storage once nothing of it has changed for five seconds, for most code writes them in
    place; all of them when the training has ended. The newest `keep` stay there."""

    def __init__(self, folder: Path, there: Place, *, keep: int, enabled: bool = True, every: float = SECONDS) -> None:
        super().__init__(every=every, enabled=enabled)
        self._folder = folder
        self._there = there
        self._keep = max(1, keep)
        self._seen: dict[str, Signs] = {}
        self._stored: dict[str, Signs] = {}

    def _pass(self) -> None:
        for name in _in_order([path.name for path in self._folder.iterdir() if path.is_dir()])[-self._keep :]:
            signs = _signs(self._folder / name)
            settled = signs == self._seen.get(name) or self._ended.is_set()
            self._seen[name] = signs
            if settled and signs and self._stored.get(name) != signs:
                store_folder(self._folder / name, self._there.under(name))
                self._stored[name] = signs
        for name in _in_order(self._there.folders())[: -self._keep]:
            self._there.under(name).remove()


def has_own_checkpoint(there: Place) -> bool:
    """Whether a whole checkpoint is stored."""
    return any(index_of(there.under(name)) is not None for name in reversed(_in_order(there.folders())))


def fetch_own_checkpoint(there: Place, target: Path) -> bool:
    """Bring the newest whole checkpoint to the folder `target`; tells whether there is one."""
    target.mkdir(parents=True, exist_ok=True)
    return fetch_newest(there, _in_order(there.folders()), target)


def _in_order(names: list[str]) -> list[str]:
    """The checkpoints among the names, the newest last."""
    found = [(int(match[1]), name) for name in names if (match := _NUMBERED.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _signs(folder: Path) -> Signs:
    """Sizes and times of the files of a folder."""
    found: Signs = {}
    for path in sorted(folder.rglob("*")):
        try:
            facts = path.stat()
        except FileNotFoundError:  # it is being replaced
            continue
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = (facts.st_size, facts.st_mtime_ns)
    return found
