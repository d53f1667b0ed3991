"""What tells a model more than it will know: a column that foretells the target by itself, an identifier among the
inputs, and one entity on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.kinds import LABELLED, UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.prepare.clean import Cleaned
from runwright_components.prepare.infer import Plan, names_an_identifier
from runwright_components.prepare.quality import SAMPLES, Finding
from runwright_components.prepare.select import Selection

Wanted = NDArray[np.float64]  # classes or ranks, of the rows looked at

_ROWS = 5_000  # of the training split, looked at
_FEW = 40  # rows: fewer tell nothing
_SURE = 0.98  # share of what the most frequent class gets wrong, or of the variance of the ranks
_EACH_ONCE = 0.95
_SEVERAL = 1.3  # rows an entity
_ENTITIES = 20


def judge(
    cleaned: Cleaned, plans: Sequence[Plan], selection: Selection, config: PrepareConfig
) -> tuple[list[Plan], list[Finding]]:
    """The plans, without the columns that leak where the configuration drops them, and what was found.

    Raises StageError where the configuration says that a leak is an error.
    """
    if config.leakage == "ignore":
        return list(plans), []
    found = [*_foretelling(cleaned, plans, selection, config), *_identifiers(cleaned, plans, selection)]
    split = list(_on_both_sides(cleaned, plans, selection, config))
    if config.leakage == "fail" and (found or split):
        first = (found or split)[0]
        raise StageError(
            Reason.DATA_INVALID,
            "; ".join(finding.text for finding in (*found, *split)[:SAMPLES]),
            where=f"column {first.column}",
            cure="ignore the column (prepare.columns: {type: ignore}), split by group, or set prepare.leakage: warn",
        )
    if config.leakage == "drop":
        why = {finding.column: finding.text for finding in found}
        plans = [plan.ignore(why[plan.name]) if plan.name in why else plan for plan in plans]
    return list(plans), [*found, *split]


def _foretelling(
    cleaned: Cleaned, plans: Sequence[Plan], selection: Selection, config: PrepareConfig
) -> Iterator[Finding]:
    """Inputs by which alone the target is foretold in rows that were not looked at."""
    target = next((plan for plan in plans if plan.role == "target"), None)
    rows = _sample(np.flatnonzero(selection.of("train")))
    if target is None or config.task in UNSUPERVISED or len(rows) < _FEW:
        return
    classes = config.task in LABELLED
    wanted = cleaned.keys(target.name, rows).astype(float) if classes else _ranks(cleaned.numbers(target.name, rows))
    for plan in plans:
        if plan.role != "input" or plan.reader is None:
            continue
        score = _score(plan, cleaned, rows, wanted, classes=classes)
        if score >= _SURE:
            what = "of what the most frequent class gets wrong" if classes else "of the target's variation"
            yield Finding(
                kind="target",
                severity="high",
                column=plan.name,
                score=score,
                text=f"column {plan.name!r} foretells the target by itself: {score:.1%} {what}; is it known in time?",
            )


def _identifiers(cleaned: Cleaned, plans: Sequence[Plan], selection: Selection) -> Iterator[Finding]:
    """Inputs that the configuration gives a type although each row has a value of its own."""
    train = np.flatnonzero(selection.of("train"))
    some = _sample(train)
    for plan in plans:
        if plan.role != "input" or plan.reader is None or not (plan.spelled or names_an_identifier(plan.name)):
            continue
        if not _each_once(*_distinct(plan, cleaned, some)):
            continue  # fewer rows repeat a value less often than all of them do
        distinct, present = _distinct(plan, cleaned, train)
        if _each_once(distinct, present):
            yield Finding(
                kind="identifier",
                severity="medium",
                column=plan.name,
                score=distinct / present,
                text=f"column {plan.name!r} is an identifier: {distinct} values in {present} training rows",
            )


def _distinct(plan: Plan, cleaned: Cleaned, rows: NDArray[np.intp]) -> tuple[int, int]:
    """How many values there are in the rows, and in how many rows there is one."""
    values = _entities(plan, cleaned, rows)
    present = values[values != 0]
    return len(_different(present)), len(present)


def _different(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each value once. np.unique puts integers into a hash table, which of millions takes a hundred times as long."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def _each_once(distinct: int, present: int) -> bool:
    return present >= _FEW and distinct >= _EACH_ONCE * present


def _on_both_sides(
    cleaned: Cleaned, plans: Sequence[Plan], selection: Selection, config: PrepareConfig
) -> Iterator[Finding]:
    """Entities, named by a column like an identifier, that stand in training and in test."""
    if config.split.strategy in ("time", "predefined"):
        return  # the future of a known customer is what such a split asks for
    train, test = selection.of("train"), selection.of("test")
    for plan in plans:
        if plan.role not in ("input", "ignored") or not names_an_identifier(plan.name) or plan.name == config.split.by:
            continue
        if plan.dtype.is_nested() or plan.dtype.is_float():
            continue
        values = _entities(plan, cleaned)
        known = values != 0
        kept = int(np.count_nonzero(selection.kept & known))
        entities = len(_different(values[selection.kept & known]))
        if entities < _ENTITIES or kept < _SEVERAL * entities:
            continue
        shared = test & known & np.isin(values, _different(values[train]))
        share = int(shared.sum()) / max(int(test.sum()), 1)
        if share > 0:
            yield Finding(
                kind="entity",
                severity="medium",
                column=plan.name,
                score=share,
                rows=int(shared.sum()),
                samples=tuple(np.flatnonzero(shared)[:SAMPLES].tolist()),
                text=(
                    f"{share:.0%} of the test rows are of a {plan.name!r} that training has seen; "
                    f"split: {{strategy: group, by: {plan.name}}} tells how well new ones are judged"
                ),
            )


def _sample(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most `_ROWS` of the rows, shuffled: the first half is looked at, the second is foretold."""
    shuffled: NDArray[np.intp] = np.random.default_rng(0).choice(rows, min(len(rows), _ROWS), replace=False)
    return shuffled


def _score(plan: Plan, cleaned: Cleaned, rows: NDArray[np.intp], wanted: Wanted, *, classes: bool) -> float:
    """How much better the second half of the rows is foretold by the first half's rows of the same category or the
    nearest number than without: of wrong classes (Goodman and Kruskal's lambda), or of squared ranks (R2)."""
    half = len(rows) // 2
    seen, asked = wanted[:half], wanted[half:]
    usual = _middle(seen, classes=classes)
    if plan.spelled:
        told = _by_category(cleaned.keys(plan.name, rows), seen, usual, classes=classes)
    else:
        told = _by_number(cleaned.numbers(plan.name, rows), seen, usual, classes=classes)
    without = _error(asked, np.full(len(asked), usual), classes=classes)
    return 1 - _error(asked, told, classes=classes) / without if without > 0 else 0.0


def _by_category(keys: NDArray[np.uint32], seen: Wanted, usual: float, *, classes: bool) -> Wanted:
    half = len(seen)
    order = np.argsort(keys[:half], kind="stable")
    distinct, starts = np.unique(keys[:half][order], return_index=True)
    middles = np.array([_middle(part, classes=classes) for part in np.split(seen[order], starts[1:])])
    places = np.minimum(np.searchsorted(distinct, keys[half:]), len(distinct) - 1)
    return np.where(distinct[places] == keys[half:], middles[places], usual)


def _by_number(values: NDArray[np.float64], seen: Wanted, usual: float, *, classes: bool) -> Wanted:
    half = len(seen)
    known = np.isfinite(values)
    lacking = seen[~known[:half]]
    told = np.full(len(values) - half, _middle(lacking, classes=classes) if len(lacking) else usual)
    order = np.argsort(np.where(known[:half], values[:half], np.inf), kind="stable")[: int(known[:half].sum())]
    if len(order):
        ladder, asked = values[:half][order], values[half:][known[half:]]
        above = np.minimum(np.searchsorted(ladder, asked), len(ladder) - 1)
        below = np.maximum(above - 1, 0)
        with np.errstate(over="ignore"):
            nearer = np.where(asked - ladder[below] < ladder[above] - asked, below, above)
        told[known[half:]] = seen[order[nearer]]
    return told


def _middle(wanted: Wanted, *, classes: bool) -> float:
    """The most frequent class, or the mean."""
    return float(np.bincount(wanted.astype(np.int64)).argmax()) if classes else float(wanted.mean())


def _error(wanted: Wanted, told: Wanted, *, classes: bool) -> float:
    return float((wanted != told).mean()) if classes else float(np.square(wanted - told).mean())


def _entities(plan: Plan, cleaned: Cleaned, rows: NDArray[np.intp] | None = None) -> NDArray[np.uint64]:
    """A number for the value of each row, or of `rows`, 0 where it is missing."""
    if plan.reader is not None and plan.spelled:
        return cleaned.keys(plan.name, rows).astype(np.uint64)
    column = cleaned.column(plan.name)
    column = column if rows is None else column.gather(rows)
    numbers: NDArray[np.uint64] = column.hash().to_numpy().copy()
    numbers[column.is_null().to_numpy()] = 0
    return numbers


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evenly spread from 0 to 1, equal values equal."""
    distinct, places, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    ranks: NDArray[np.float64] = middle[places.reshape(-1)] / max(len(values), 1)
    return ranks if len(distinct) > 1 else np.zeros(len(values))
