"""Gate: hold the stored metrics against the gate as the spec has it now. A changed gate needs no training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from runwright_api.reasons import Stage
from runwright_api.status import GateCheck, Revision
from runwright_components.contract.evaluation import Check, SliceMetrics
from runwright_components.contract.gate import judge as hold_against
from runwright_components.contract.outcome import StageError
from runwright_operator.brain.draft import Draft
from runwright_pipelines.lowering import lower

_SLICES = TypeAdapter(tuple[SliceMetrics, ...])


def judge(draft: Draft) -> None:
    """Judge the wanted revision as soon as its metrics are known; once over, it is Succeeded or Rejected by that."""
    current = draft.current
    if draft.seen.run is None or current is None or not current.metrics or current.artifact is None:
        return
    checks = _checks(draft, current)
    verdict = "passed" if all(check.passed for check in checks) else "rejected"
    state = current.state
    if state in ("Succeeded", "Rejected"):
        state = "Succeeded" if verdict == "passed" else "Rejected"
    draft.update(current.number, verdict=verdict, checks=checks, state=state)


def _checks(draft: Draft, revision: Revision) -> tuple[GateCheck, ...]:
    assert draft.seen.run is not None
    slices = _slices(draft, revision)
    made: list[Check] = []
    for bound in lower(draft.seen.run).evaluate.gate:
        try:
            made.extend(hold_against((bound,), revision.metrics, slices))
        except StageError as error:  # the test split has no such slice
            limits = {"min": bound.min, "max": bound.max, "slice": bound.slice}
            made.append(Check(metric=bound.metric, value=None, passed=False, message=error.message, **limits))
    return tuple(GateCheck.model_validate(check.model_dump(exclude={"message"})) for check in made)


def _slices(draft: Draft, revision: Revision) -> Sequence[SliceMetrics]:
    """The metrics on slices: as the evaluation wrote them, else as far as an earlier judgement names them."""
    record = draft.records(revision).get(Stage.EVALUATE)
    if record is not None:
        with contextlib.suppress(ValidationError):
            return _SLICES.validate_python(record.result.get("slices") or ())
    known: dict[str, dict[str, float]] = {}
    for check in revision.checks:
        if check.slice is not None and check.value is not None:
            known.setdefault(check.slice, {})[check.metric] = check.value
    return tuple(
        SliceMetrics(column=name.partition("=")[0], value=name.partition("=")[2], rows=0, metrics=metrics)
        for name, metrics in known.items()
    )
