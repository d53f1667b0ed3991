"""What all sources elsewhere have in common: bytes are counted, and files come side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runwright_components.collect.files import SourceFile
from runwright_components.contract.progress import Progress

_WORKERS = 8
Sign = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a source, sorted by name, by their signs, each of which begins with the name. `fetch` brings those
    of some names to this machine, in that order."""

    signs: Sequence[Sign]
    fetch: Callable[[Collection[str]], list[SourceFile]]


class Downloaded:
    """Counts bytes from several threads into one progress."""

    def __init__(self, progress: Progress, source: str, total: int | None) -> None:
        self._progress, self._message, self._total = progress, f"download {source}", total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int, total: int | None = None) -> None:
        with self._lock:
            self._done += size
            self._progress.update(self._done, self._total or total, unit="bytes", message=self._message)


def side_by_side(downloads: Sequence[Callable[[], None]]) -> None:
    """Run all downloads, eight at a time; the first failure stops those that have not begun, and is raised."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [pool.submit(download) for download in downloads]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
