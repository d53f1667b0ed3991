"""What a gate says of metrics that status keeps. Pure; the judgement itself is the one of evaluation and operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runwright_api.spec import Bound
from runwright_api.status import Revision
from runwright_components.contract import gate
from runwright_components.contract.config import Bound as ContractBound
from runwright_components.contract.evaluation import SliceMetrics


@dataclass(frozen=True)
class Verdict:
    """`unknown`: status does not keep the metrics that a bound asks for."""

    word: Literal["passed", "rejected", "unknown"]
    why: str


def verdict(bounds: Sequence[Bound], revision: Revision) -> Verdict:
    """What these bounds say of a revision's stored metrics."""
    known = _slices(revision)
    there = {f"{part.column}={part.value}" for part in known}
    missing = [bound.slice for bound in bounds if bound.slice is not None and bound.slice not in there]
    if missing:
        return Verdict("unknown", f"status does not keep the metrics on {missing[0]}")
    checks = gate.judge([_bound(bound) for bound in bounds], revision.metrics, known)
    failed = [check.message for check in checks if not check.passed]
    if failed:
        return Verdict("rejected", "; ".join(failed))
    return Verdict("passed", "; ".join(check.message for check in checks) or "no bounds")


def _bound(bound: Bound) -> ContractBound:
    return ContractBound(metric=bound.metric, min=bound.min, max=bound.max, slice=bound.slice)


def _slices(revision: Revision) -> tuple[SliceMetrics, ...]:
    """The metrics on slices, as far as the checks of an earlier judgement name them."""
    known: dict[str, dict[str, float]] = {}
    for check in revision.checks:
        if check.slice is not None and check.value is not None:
            known.setdefault(check.slice, {})[check.metric] = check.value
    return tuple(
        SliceMetrics(column=name.partition("=")[0], value=name.partition("=")[2], rows=0, metrics=metrics)
        for name, metrics in known.items()
    )
