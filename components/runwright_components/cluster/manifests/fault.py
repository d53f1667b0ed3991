"""One fault of a pod or a job: a reason of the API's closed list, with what a person needs to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runwright_components.cluster.manifests.redacting import redacted
from runwright_components.contract.cluster import StageFault
from runwright_components.contract.outcome import Reason

UNSCHEDULABLE = "Unschedulable"
IMAGE_PULL = "ImagePullBackOff"
CONTAINER_CONFIG = "ContainerConfigError"
QUOTA = "QuotaExceeded"
WAITING_FOR_QUOTA = "WaitingForQuota"
NOT_ALLOWED = "NotAllowed"
OOM = "OOMKilled"
PREEMPTED = "Preempted"
EVICTED = "Evicted"
NODE_LOST = "NodeLost"
DEADLINE = "DeadlineExceeded"
COLLECTIVE_TIMEOUT = "CollectiveTimeout"
USER_CODE = "UserCodeError"
RETRIES_EXHAUSTED = "RetriesExhausted"
PENDING = "Pending"

LOG_LINES = 20
LONGEST_LINE = 512
LONGEST_MESSAGE = 2000

CURES = {
    UNSCHEDULABLE: "ask for less (train.resources), change the node selector or tolerations, or add nodes",
    IMAGE_PULL: "check the image's name and tag, and that the ServiceAccount may pull it",
    CONTAINER_CONFIG: "check the Secret that storage names, and the image",
    QUOTA: "wait for others to end, ask for less (train.resources), or have the namespace's ResourceQuota raised",
    WAITING_FOR_QUOTA: "it starts by itself when the queue has room; see kubectl get workloads",
    NOT_ALLOWED: "have the administrator allow it; docs/install.md says what a namespace needs",
    OOM: "raise train.resources.memory, or lower train.batchSize",
    PREEMPTED: "it starts again by itself; a higher train.scheduling.priorityClassName makes that rarer",
    EVICTED: "it starts again by itself; see the node's conditions if it happens often",
    NODE_LOST: "it starts again by itself on another node",
    DEADLINE: "raise train.timeout, or make training shorter (epochs, maxSteps)",
    COLLECTIVE_TIMEOUT: "a rank was too slow or lost its network; see the logs of all pods, and NetworkPolicies",
}
_TAKEN_AWAY = (PREEMPTED, EVICTED, NODE_LOST, Reason.CANCELLED)
KNOWN = {*map(str, Reason), *CURES, USER_CODE}
_MENDABLE = (
    Reason.SOURCE_UNAVAILABLE,
    Reason.STORAGE_FULL,
    Reason.WORKER_FAILED,
    Reason.INTERNAL,
    Reason.CANCELLED,  # by who took the pod away: whoever ends the run ends the step too
)
_FINAL = {*map(str, set(Reason) - set(_MENDABLE)), DEADLINE, USER_CODE}


@dataclass(frozen=True)
class Fault:
    """`waiting`: nothing ended, it may pass. `preemption`: the pod was taken away, which was no fault of its own.
    `retryable`: starting again may help."""

    reason: str
    message: str = ""
    cure: str = ""
    where: str = ""
    pod: str | None = None
    container: str | None = None
    exit_code: int | None = None
    log: tuple[str, ...] = ()
    waiting: bool = False
    restarts: int = 0
    time: datetime | None = None

    @property
    def preemption(self) -> bool:
        return self.reason in _TAKEN_AWAY

    @property
    def retryable(self) -> bool:
        return self.reason not in _FINAL

    def record(self) -> StageFault:
        """The fault as it stands in a StageRecord, without what looks like a secret."""
        return StageFault(
            reason=self.reason,
            message=redacted(self.message)[:LONGEST_MESSAGE],
            cure=self.cure or CURES.get(self.reason, ""),
            where=self.where,
            pod=self.pod,
            container=self.container,
            exit_code=self.exit_code,
            log=tuple(redacted(line)[:LONGEST_LINE] for line in self.log[-LOG_LINES:]),
        )
