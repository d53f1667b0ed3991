"""Why user code ended badly, in the words of a StageError."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from runwright_components.contract.artifacts import Document
from runwright_components.contract.command import (
    WHERE,
    command_error,
    out_of_memory,
    tells_of_memory,
    user_code_error,
)
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.train.signals import cancelled

_OOM_COUNT = Path("/sys/fs/cgroup/memory.events")


class Ending(Document):
    """What the bootstrap leaves of an exception; `missing` is the module that was not found."""

    rank: int
    time: float  # seconds since the epoch
    kind: str
    message: str
    missing: str | None = None
    errno: int | None = None
    trace: tuple[str, ...] = ()


def read_endings(folder: Path) -> list[Ending]:
    """The exceptions of all ranks, the first one first: it is the cause of the others."""
    found = [Ending.read(folder, path.name) for path in folder.glob("ending-*.json")]
    return sorted(found, key=lambda ending: ending.time)


def failure_of(code: int, endings: Sequence[Ending], last_lines: Sequence[str], *, oom: bool) -> StageError | None:
    """The error for an exit code (negative: a signal), what the ranks left, and the last lines of the output; None when
    all went well. `oom`: the kernel killed a process of this container for memory meanwhile."""
    if code == 0:
        return None
    if oom:
        return out_of_memory("the kernel ended the code, for it used more memory than there is")
    if endings:
        return _of_exception(endings[0])
    return cancelled() if code == ExitCode.CANCELLED else command_error(code, last_lines)


def _of_exception(ending: Ending) -> StageError:
    told = f"{ending.kind}: {ending.message}".removesuffix(": ")
    if ending.kind == "NotStarted":
        cure = "look at train.code: path, entrypoint and command; a folder's modules are found from the folder itself"
        return StageError(Reason.INVALID_CONFIG, ending.message, where=WHERE, cure=cure)
    if ending.kind in ("MemoryError", "OutOfMemoryError") or tells_of_memory(ending.message):
        return out_of_memory(told)
    if ending.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageError(Reason.STORAGE_FULL, told, where=WHERE, cure="free some space, or write less")
    rank = f" (rank {ending.rank})" if ending.rank else ""
    cure = "mend the code; this is what it raised"
    if ending.missing:
        package = ending.missing.partition(".")[0]
        cure = f"install {package} where this runs (in a cluster, in train.image), or mend the import"
    return user_code_error("\n".join((f"{told}{rank}", *ending.trace)), cure)


def too_long(limit: int) -> StageError:
    """The code did not end within `limit` seconds."""
    message = f"the code has run for {limit} s, which is its limit"
    cure = "raise train.timeout, or let the code do less"
    return StageError(Reason.DEADLINE, message, where="train.timeout", cure=cure)


def oom_kills(events: Path = _OOM_COUNT) -> int:
    """How many processes of this control group the kernel has killed for memory; 0 where nobody counts."""
    try:
        counts = dict(line.split() for line in events.read_text().splitlines())
        return int(counts.get("oom_kill", "0"))
    except (OSError, ValueError):
        return 0
