"""How a stage ends: exit codes, reasons, and the one exception that a person gets to read."""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of a component process. Anything else is a crash (128+N: killed by signal N)."""

    OK = 0
    INTERNAL = 1  # a defect of ours, or of user code
    USER = 10  # configuration or data must be mended; a retry cannot help
    TRANSIENT = 20  # the outside world failed; a retry may help
    CANCELLED = 30  # asked to stop


class Reason(StrEnum):
    """Why a stage failed; the closed list that reaches the TrainingRun's status."""

    INVALID_CONFIG = "InvalidConfig"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_DENIED = "SourceDenied"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    DATA_UNREADABLE = "DataUnreadable"
    DATA_INVALID = "DataInvalid"
    STORAGE_FULL = "StorageFull"
    OUT_OF_MEMORY = "OutOfMemory"
    TRAINING_DIVERGED = "TrainingDiverged"
    WORKER_FAILED = "WorkerFailed"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    CHECKPOINT_INVALID = "CheckpointInvalid"
    PARITY_FAILED = "ParityFailed"
    DIGEST_MISMATCH = "DigestMismatch"
    GATE_REJECTED = "GateRejected"
    UNSUPPORTED = "Unsupported"
    USER_CODE = "UserCodeError"
    DEADLINE = "DeadlineExceeded"
    CANCELLED = "Cancelled"
    INTERNAL = "InternalError"


_TRANSIENT = {Reason.SOURCE_UNAVAILABLE, Reason.STORAGE_FULL, Reason.WORKER_FAILED, Reason.COLLECTIVE_TIMEOUT}


class StageError(Exception):
    """A failure that a person can act on.

    `message` says what is wrong and where (file, row, column, field); `cure` says how to mend it.
    """

    def __init__(self, reason: Reason, message: str, *, cure: str = "", where: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.cure = cure
        self.where = where

    @property
    def exit_code(self) -> ExitCode:
        if self.reason is Reason.CANCELLED:
            return ExitCode.CANCELLED
        if self.reason is Reason.INTERNAL:
            return ExitCode.INTERNAL
        return ExitCode.TRANSIENT if self.reason in _TRANSIENT else ExitCode.USER

    def as_dict(self) -> dict[str, Any]:
        return {"reason": str(self.reason), "message": self.message, "cure": self.cure, "where": self.where}

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        cure = f"\n  cure: {self.cure}" if self.cure else ""
        return f"{place}{self.message}{cure}"

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False)
