"""How a command of the user's ended, in the words of a StageError."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from runwright_components.contract.outcome import ExitCode, Reason, StageError

LAST_LINES = 12
WHERE = "train.code"

_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory|unable to allocate", re.IGNORECASE)


def command_error(code: int, last_lines: Sequence[str]) -> StageError:
    """The error for an exit code that is not 0 (negative, or past 128: a signal) and the last lines of the output."""
    said = "\n".join(last_lines[-LAST_LINES:])
    if code < 0 or code > 128:
        return _of_signal(-code if code < 0 else code - 128, said)
    if code == ExitCode.TRANSIENT:
        cure = "it says itself (exit code 20) that another start may help"
        return StageError(Reason.WORKER_FAILED, _with("the code ended with exit code 20", said), where=WHERE, cure=cure)
    message = _with(f"the code ended with exit code {code}", said)
    return out_of_memory(message) if tells_of_memory(said) else user_code_error(message, "mend what its last lines say")


def tells_of_memory(words: str) -> bool:
    """Whether an error's words are about memory that there is not."""
    return _MEMORY.search(words) is not None


def out_of_memory(message: str) -> StageError:
    cure = "let the code take smaller batches or fewer rows at once, or raise train.resources.memory"
    return StageError(Reason.OUT_OF_MEMORY, message, where=WHERE, cure=cure)


def user_code_error(message: str, cure: str) -> StageError:
    """What the user's code did wrong, and how to mend it."""
    return StageError(Reason.USER_CODE, message, where=WHERE, cure=cure)


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


def _with(message: str, said: str) -> str:
    return f"{message}\n{said}" if said else message
