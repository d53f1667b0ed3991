"""How a pod of ours ends: its exit code, and the words that it leaves as its termination message."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from runwright_components.cluster.manifests.fault import LOG_LINES, LONGEST_LINE, Fault
from runwright_components.contract.cluster import StageFault
from runwright_components.contract.outcome import ExitCode, Reason, StageError

TERMINATION_LOG_ENV = "RUNWRIGHT_TERMINATION_LOG"
TERMINATION_LOG = "/dev/termination-log"
LARGEST_MESSAGE = 4096  # bytes that the kubelet takes


class ClusterError(StageError):
    """A stage's end that the cluster explains: `fault` has one of the API's reasons, which are more than a stage's."""

    def __init__(self, fault: StageFault) -> None:
        super().__init__(Reason.WORKER_FAILED, fault.message, cure=fault.cure, where=fault.where)
        self.fault = fault

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.USER  # our own retries are spent: another start of the step cannot help

    def as_dict(self) -> dict[str, str]:
        return {**super().as_dict(), "reason": self.fault.reason}


def fault_of(error: StageError, *, log: tuple[str, ...] = ()) -> StageFault:
    """The fault of a StageRecord, or of a termination message, for an error."""
    if isinstance(error, ClusterError):
        return error.fault
    pod = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME")
    return (
        Fault(
            str(error.reason), error.message, error.cure, error.where, pod=pod, exit_code=int(error.exit_code), log=log
        )
    ).record()


def leave_message(fault: StageFault) -> None:
    """Write the fault where the kubelet looks for the last words of a container."""
    path = Path(os.environ.get(TERMINATION_LOG_ENV, TERMINATION_LOG))
    with contextlib.suppress(OSError):  # outside a pod there is no such file
        path.write_bytes(message(fault))


def message(fault: StageFault) -> bytes:
    """The fault as JSON that fits into a termination message: the oldest lines of the log go first."""
    for lines in range(min(len(fault.log), LOG_LINES), -1, -1):
        shown = fault.log[len(fault.log) - lines :]
        for width in (LONGEST_LINE, LONGEST_LINE // 4):
            short = {
                **fault.model_dump(mode="json", exclude_none=True),
                "message": fault.message[:1000],
                "log": [line[:width] for line in shown],
            }
            content = json.dumps(short, ensure_ascii=False, separators=(",", ":")).encode()
            if len(content) <= LARGEST_MESSAGE:
                return content
    least = {"reason": fault.reason, "message": fault.message[:500]}
    return json.dumps(least, separators=(",", ":")).encode()[:LARGEST_MESSAGE]
