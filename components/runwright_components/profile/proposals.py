"""The `prepare` section that a profile proposes, each line with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from runwright_components.contract.config import MissingRules, TaskKind
from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.values import Notation
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import ColumnQuality
from runwright_components.profile.document import Finding, Proposal

_STRATA = 3  # rows of a class that a stratified split needs
_FORMATS = 16  # that a column may have
_LISTED = 5
_NOTED = ("leakage", "copy", "missing")  # findings that may be a reason to leave a column out


@dataclass(frozen=True)
class Evidence:
    """What was found. `sentinels` are values that stand for "missing", `outliers` rows far away, by column; `classes`
    are rows by label, of a target that is one."""

    target: str
    task: TaskKind
    plans: tuple[Plan, ...]
    columns: tuple[ColumnQuality, ...]
    findings: tuple[Finding, ...]
    sentinels: Mapping[str, tuple[float, ...]]
    outliers: Mapping[str, int]
    classes: Mapping[str, int]
    duplicates: int


def propose(found: Evidence) -> tuple[Proposal, ...]:
    """The section's lines, in its order."""
    return (
        *_target(found),
        *_columns(found),
        *_missing(found),
        *_personal(found),
        *_duplicates(found),
        *_split(found),
        *_keys(found),
    )


def _target(found: Evidence) -> Iterator[Proposal]:
    if found.target:
        yield Proposal(field="target", value=found.target, reason=f"{found.task}; --target chooses another")


def _columns(found: Evidence) -> Iterator[Proposal]:
    doubts: dict[str, list[str]] = {}
    for finding in found.findings:
        if finding.kind in _NOTED:
            doubts.setdefault(finding.column, []).append(finding.note)
    constant = {finding.column: finding.note for finding in found.findings if finding.kind == "constant"}
    for plan, quality in zip(found.plans, found.columns, strict=True):
        name = plan.name
        if plan.role == "ignored" or name in constant:
            reason = constant.get(name) or plan.reason
            yield Proposal(field="columns", value={"name": name, "type": "ignore"}, reason=reason)
        elif plan.role == "input":
            yield from _read(plan, quality, found.outliers.get(name, 0))
            if name in doubts:
                yield Proposal(
                    field="columns", value={"name": name, "type": "ignore"}, reason="; ".join(doubts[name]), sure=False
                )


def _read(plan: Plan, quality: ColumnQuality, far: int) -> Iterator[Proposal]:
    """How a column is read, where that was found out rather than plain to see, and its outliers."""
    settings: dict[str, JsonValue] = {"name": plan.name}
    reasons = []
    reader = plan.reader
    assert reader is not None  # an input has one
    if plan.type == "numeric" and reader.notation != Notation():
        settings["type"] = "numeric"
        reasons.append(plan.reason)
    elif plan.type == "boolean" and reader.text:
        settings["type"] = "boolean"
        reasons.append(plan.reason)
    elif plan.type == "datetime" and reader.text:
        settings["type"] = "datetime"
        unusual: list[JsonValue] = [form for form in reader.formats if form not in ISO_FORMATS]
        if unusual:
            settings["dateFormats"] = unusual[:_FORMATS]
        reasons.append(f"dates: {plan.reason}" if plan.reason else "dates")
    unreadable = sum(repair.rows for repair in quality.repairs if repair.kind == "unreadable")
    if unreadable:
        reasons.append(f"{unreadable} values cannot be read and count as missing")
    if far:
        settings["outliers"] = "clip"
        reasons.append(f"{far} values lie more than 3 interquartile ranges beyond the quartiles")
    if len(settings) > 1:
        yield Proposal(field="columns", value=settings, reason="; ".join(reasons))


def _missing(found: Evidence) -> Iterator[Proposal]:
    values = sorted({value for many in found.sentinels.values() for value in many})
    if not values:
        return
    words: list[JsonValue] = [*MissingRules().words, *(f"{value:g}" for value in values)]
    shown = "; ".join(
        f"{name}: {', '.join(f'{value:g}' for value in many)}" for name, many in list(found.sentinels.items())[:_LISTED]
    )
    reason = f"numbers that stand for a missing value ({shown}), in every column"
    yield Proposal(field="missing", value={"words": words}, reason=reason)


def _personal(found: Evidence) -> Iterator[Proposal]:
    columns = [finding.column for finding in found.findings if finding.kind == "personal"]
    if columns:
        shown = ", ".join(columns[:_LISTED]) + (" and others" if len(columns) > _LISTED else "")
        reason = f"data about persons in {shown}; hash keeps equal ones equal, drop leaves the columns out"
        yield Proposal(field="pii", value={"action": "mask"}, reason=reason, sure=False)


def _duplicates(found: Evidence) -> Iterator[Proposal]:
    if found.duplicates:
        yield Proposal(field="duplicates", value="drop", reason=f"{found.duplicates} rows repeat an earlier one")


def _split(found: Evidence) -> Iterator[Proposal]:
    if found.task == "classification" and found.classes:
        rarest = min(found.classes.values())
        uneven = next((finding.note for finding in found.findings if finding.kind == "imbalance"), "")
        if rarest >= _STRATA:
            reason = f"each class in each split{'; ' + uneven if uneven else ''}"
            yield Proposal(field="split", value={"strategy": "stratified"}, reason=reason)
        else:
            reason = f"the rarest class has {rarest} row{'s' if rarest > 1 else ''}, too few for each split"
            yield Proposal(field="split", value={"strategy": "random"}, reason=reason)
    times = [plan.name for plan in found.plans if plan.type == "datetime" and plan.role == "input"]
    if times:
        yield Proposal(
            field="split",
            value={"strategy": "time", "by": times[0]},
            reason="if the model is to foretell what comes after the rows that it learned from",
            sure=False,
        )


def _keys(found: Evidence) -> Iterator[Proposal]:
    for column in found.columns:
        before = column.before
        if column.role == "ignored" and before.rows and before.distinct == before.rows and not before.missing:
            yield Proposal(
                field="expectations",
                value={"unique": [column.name], "onFailure": "warn"},
                reason="every row has another value today",
            )
