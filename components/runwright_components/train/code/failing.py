"""Why user code ended badly, in the words of a StageError."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from runwright_components.contract.artifacts import Document
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.train.signals import cancelled

LAST_LINES = 12
WHERE = "train.code"

_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|unable to allocate", re.IGNORECASE)
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
        return _out_of_memory("the kernel ended the code, for it used more memory than there is")
    if endings:
        return _of_exception(endings[0])
    said = "\n".join(last_lines[-LAST_LINES:])
    if code < 0 or code > 128:
        return _of_signal(-code if code < 0 else code - 128, said)
    if code == ExitCode.TRANSIENT:
        cure = "it says itself (exit code 20) that another start may help"
        return StageError(Reason.WORKER_FAILED, _with("the code ended with exit code 20", said), where=WHERE, cure=cure)
    if code == ExitCode.CANCELLED:
        return cancelled()
    if _MEMORY.search(said):
        return _out_of_memory(_with(f"the code ended with exit code {code}", said))
    return user_code_error(_with(f"the code ended with exit code {code}", said), "mend what its last lines say")


def _of_exception(ending: Ending) -> StageError:
    told = f"{ending.kind}: {ending.message}".removesuffix(": ")
    if ending.kind == "NotStarted":
        cure = "look at train.code: path, entrypoint and command; a folder's modules are found from the folder itself"
        return StageError(Reason.INVALID_CONFIG, ending.message, where=WHERE, cure=cure)
    if ending.kind in ("MemoryError", "OutOfMemoryError") or _MEMORY.search(ending.message):
        return _out_of_memory(told)
    if ending.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageError(Reason.STORAGE_FULL, told, where=WHERE, cure="free some space, or write less")
    rank = f" (rank {ending.rank})" if ending.rank else ""
    cure = "mend the code; this is what it raised"
    if ending.missing:
        package = ending.missing.partition(".")[0]
        cure = f"install {package} where this runs (in a cluster, in train.image), or mend the import"
    return user_code_error("\n".join((f"{told}{rank}", *ending.trace)), cure)


def _of_signal(number: int, said: str) -> StageError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    cure = (
        "the machine probably ran out of memory: let the code use less, or raise train.resources.memory"
        if name == "SIGKILL"
        else "see its last lines; continue with `runwright run --resume`"
    )
    return StageError(Reason.WORKER_FAILED, _with(f"the code was killed by {name}", said), where=WHERE, cure=cure)


def _out_of_memory(message: str) -> StageError:
    cure = "let the code take smaller batches or fewer rows at once, or raise train.resources.memory"
    return StageError(Reason.OUT_OF_MEMORY, message, where=WHERE, cure=cure)


def user_code_error(message: str, cure: str) -> StageError:
    """What the user's code did wrong, and how to mend it."""
    return StageError(Reason.USER_CODE, message, where=WHERE, cure=cure)


def _with(message: str, said: str) -> str:
    return f"{message}\n{said}" if said else message


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
