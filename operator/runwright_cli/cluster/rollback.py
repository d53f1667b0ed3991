"""Which revision a rollback goes to, and whether it may. Pure."""

from __future__ import annotations

from typing import Any

from runwright_api.status import Revision, TrainingRunStatus
from runwright_cli.cluster.errors import ClusterError
from runwright_cli.cluster.history import check_line


def revision_of(status: TrainingRunStatus, number: int) -> Revision:
    """A revision of the history. Raises ClusterError that lists them."""
    found = next((item for item in status.revisions if item.number == number), None)
    if found is None:
        known = ", ".join(str(item.number) for item in status.revisions) or "none"
        raise ClusterError(
            f"revision {number} is not in the history; its package may be gone",
            f"the history has: {known}; spec.history.limit says how many are kept",
        )
    return found


def before_the_current(status: TrainingRunStatus) -> Revision:
    """The newest revision before the one that serves that may serve too. Raises ClusterError when there is none."""
    current = status.serving.revision if status.serving else status.revision
    if current is None:
        raise ClusterError("nothing was made yet, so there is nothing to go back to", "`runwright watch` shows it")
    older = [item for item in status.revisions if item.number < current and why_not(item) is None]
    if not older:
        raise ClusterError(
            f"no revision before {current} can serve",
            "`runwright history` shows them; `--to N` chooses any other",
        )
    return max(older, key=lambda item: item.number)


def why_not(revision: Revision) -> str | None:
    """Why a revision must not serve, or None when it may."""
    if revision.verdict == "rejected":
        failed = "; ".join(check_line(check) for check in revision.checks if not check.passed)
        return f"the gate rejected it ({failed})" if failed else "the gate rejected it"
    if revision.state in ("Pending", "Running"):
        return f"it is still {revision.state.lower()}"
    if revision.artifact is None:
        state = {"Failed": "it failed", "Cancelled": "it was cancelled"}.get(revision.state)
        reason = f" with {revision.failure.reason}" if revision.failure and revision.state == "Failed" else ""
        return f"{state}{reason} and left no package" if state else "its package is gone"
    return None


def pin(number: int | None) -> dict[str, Any]:
    """The merge patch that pins a revision, or takes the pin away."""
    return {"spec": {"deploy": {"revision": number}}}
