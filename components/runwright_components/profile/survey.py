"""Raw data looked at, a column at a time, by the code that prepares them."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from runwright_components.contract.config import PiiRules, PrepareConfig, TaskKind
from runwright_components.contract.config.pii import PII_KINDS
from runwright_components.contract.kinds import LABELLED
from runwright_components.engines.engine import Local
from runwright_components.prepare import pii
from runwright_components.prepare.clean import Cleaned, compared, first_of_each
from runwright_components.prepare.describe import categories, numbers
from runwright_components.prepare.fit_categorical import by_key, repairs
from runwright_components.prepare.infer import SAMPLE, Plan, plan
from runwright_components.prepare.quality import SAMPLES, ColumnQuality, Duplicates, Summary
from runwright_components.prepare.raw import RawData, open_raw
from runwright_components.prepare.relations import missing_patterns, relations, sampled_columns
from runwright_components.prepare.repairs import number_repairs
from runwright_components.prepare.sampling import evidence, sample
from runwright_components.prepare.tabular import read_columns
from runwright_components.profile import suspicions
from runwright_components.profile.document import Finding, Profile
from runwright_components.profile.proposals import Evidence, propose

_WORKERS = 2


@dataclass(frozen=True)
class _Looked:
    """A column, and what is odd about its values. `keys` are rows by key of a category."""

    quality: ColumnQuality
    findings: tuple[Finding, ...] = ()
    sentinels: tuple[float, ...] = ()
    outliers: int = 0
    keys: pl.DataFrame | None = None


def survey(raw: Path, *, name: str, target: str, task: TaskKind) -> Profile:
    """The profile of the raw data in `raw`. `target` may be empty where the task has none.

    Raises StageError where the target cannot be what the task asks for.
    """
    data = open_raw(raw)
    config = PrepareConfig(modality="tabular", task=task, target=target)
    with tempfile.TemporaryDirectory(prefix="runwright-profile-") as scratch:
        personal = pii.survey(data, pii.text_columns(data), PII_KINDS)
        data = _hidden(data, config, [name for name, seen in personal.items() if seen.rows], Path(scratch))
        plans: Sequence[Plan] = plan(sample(data), config, lambda column: evidence(data, column))
        plans, cleaned = read_columns(data, plans, config, Path(scratch), Local())
        with ThreadPoolExecutor(_WORKERS) as pool:
            looked = list(pool.map(lambda each: _look(each, data, cleaned), plans))
        duplicates = _duplicates(data, cleaned, plans)
        sampled = sampled_columns(plans, cleaned)
        leaks = suspicions.leaks(sampled, target)
    related = relations(sampled)
    findings = [finding for each in looked for finding in each.findings]
    findings += [
        Finding(kind="personal", column=name, note=seen.said(exact=data.rows <= SAMPLE))
        for name, seen in personal.items()
        if seen.rows
    ]
    findings += [
        Finding(kind="leakage", column=column, note=f"tells {target!r} alone: {share:.1%} of what a guess leaves open")
        for column, share in leaks.items()
    ]
    findings += suspicions.copies(related, target)
    classes = _classes(looked, target) if task in LABELLED else {}
    if uneven := suspicions.uneven(classes):
        findings.append(Finding(kind="imbalance", column=target, note=uneven))
    return Profile(
        name=name,
        rows=data.rows,
        target=target,
        task=task,
        columns=tuple(each.quality for each in looked),
        duplicates=duplicates,
        missing_together=missing_patterns(sampled),
        relations=related,
        findings=tuple(findings),
        proposals=propose(
            Evidence(
                target=target,
                task=task,
                plans=tuple(plans),
                columns=tuple(each.quality for each in looked),
                findings=tuple(findings),
                sentinels={each.quality.name: each.sentinels for each in looked if each.sentinels},
                outliers={each.quality.name: each.outliers for each in looked if each.outliers},
                classes=classes,
                duplicates=duplicates.found,
            )
        ),
    )


def _hidden(data: RawData, config: PrepareConfig, columns: Sequence[str], scratch: Path) -> RawData:
    """The data with hashes for what is personal in these columns: different ones stay different, none is shown."""
    if not columns:
        return data
    rules = PiiRules(action="hash", columns=tuple(columns), salt=secrets.token_hex())
    return pii.guard(config.model_copy(update={"pii": rules}), data, scratch, scratch).data


def _look(plan: Plan, data: RawData, cleaned: Cleaned) -> _Looked:
    base = ColumnQuality(
        name=plan.name,
        source_type=str(plan.dtype),
        type=plan.type,
        role=plan.role,
        reason=plan.reason,
        before=Summary(rows=data.rows),
    )
    if plan.reader is None:
        looked = _Looked(base.model_copy(update={"before": _unread(plan, data, cleaned)}))
    elif plan.type == "categorical":
        looked = _categories(plan, base, cleaned)
    else:
        looked = _numbers(plan, base, data, cleaned)
    found = (*suspicions.of_summary(looked.quality), *looked.findings)
    return _Looked(looked.quality, found, looked.sentinels, looked.outliers, looked.keys)


def _unread(plan: Plan, data: RawData, cleaned: Cleaned) -> Summary:
    """Of a column that is ignored: its raw values are known by their hashes."""
    if not compared(plan):
        return Summary(rows=data.rows)
    gaps = int(data.source.select(pl.col(plan.name).null_count()).collect().item())
    distinct = cleaned.column(plan.name).n_unique() - (1 if gaps else 0)
    return Summary(rows=data.rows, missing=gaps, distinct=distinct)


def _categories(plan: Plan, base: ColumnQuality, cleaned: Cleaned) -> _Looked:
    spelled, column = cleaned.spellings[plan.name], cleaned.column(plan.name)
    rows = np.bincount(column.drop_nulls().to_numpy(), minlength=len(spelled.texts))
    keys = by_key(spelled, rows)
    shown = dict(keys.select("key", "label").iter_rows())
    gaps = cleaned.rows - int(keys["rows"].sum())
    update = {
        "before": categories(keys.select(pl.col("label").alias("value"), "rows"), gaps),
        "repairs": tuple(repairs(spelled, rows, shown)),
    }
    findings = tuple(
        Finding(kind="typos", column=plan.name, note=f"{word!r} ({count} rows) may be {meant!r}")
        for word, meant, count in suspicions.near_spellings(keys)
    )
    return _Looked(base.model_copy(update=update), findings, keys=keys)


def _numbers(plan: Plan, base: ColumnQuality, data: RawData, cleaned: Cleaned) -> _Looked:
    column = cleaned.column(plan.name)
    values = column.to_numpy()
    update = {
        "before": numbers(values, times=plan.type == "datetime"),
        "repairs": tuple(number_repairs(plan, data, cleaned, column)),
    }
    quality = base.model_copy(update=update)
    if plan.type != "numeric" or plan.role != "input":
        return _Looked(quality)
    stand_in = suspicions.sentinels(values)
    far, low, high = suspicions.outside(values, [value for value, _ in stand_in])
    findings = [
        Finding(kind="sentinel", column=plan.name, note=f"{value:g} stands in {rows} rows, far from all other values")
        for value, rows in stand_in
    ]
    if far:
        note = f"{far} values ({far / cleaned.rows:.2%}) lie outside {low:.4g} to {high:.4g}"
        findings.append(Finding(kind="outliers", column=plan.name, note=note))
    return _Looked(quality, tuple(findings), tuple(value for value, _ in stand_in), far)


def _classes(looked: Sequence[_Looked], target: str) -> dict[str, int]:
    keys = next((each.keys for each in looked if each.quality.name == target), None)
    return {} if keys is None else dict(keys.select("label", "rows").iter_rows())


def _duplicates(data: RawData, cleaned: Cleaned, plans: Sequence[Plan]) -> Duplicates:
    repeated = ~first_of_each(cleaned, plans)
    sample = data.rows_at(np.flatnonzero(repeated)[:SAMPLES].tolist())
    found = int(repeated.sum())
    return Duplicates(
        found=found, note="rows that are equal in every column, after values were read", sample=tuple(sample)
    )
