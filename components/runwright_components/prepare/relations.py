"""How columns hang together: which values are missing in the same rows, and how much one column tells of another.

Told from the cleaned columns. Strengths come from an even sample of the rows; nothing that is fitted comes from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.prepare.clean import Cleaned, Mask
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import MissingPattern, Relation

COLUMNS = 24  # whose relations are told
SAMPLED = 30_000  # rows
PATTERNS = 8
_CATEGORIES = 200  # a column with more is told of no relation
_FEWEST = 10  # rows in which both have a value

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]  # -1: missing
Sampled = Mapping[str, Numbers | Codes]


def sampled_columns(plans: Sequence[Plan], cleaned: Cleaned) -> Sampled:
    """The columns that are read, at most `SAMPLED` rows of each, evenly spread: numbers (NaN: missing) or codes of
    categories. The target comes first."""
    read = sorted((plan for plan in plans if plan.reader is not None), key=lambda plan: plan.role != "target")
    step = max(1, -(-cleaned.rows // SAMPLED))
    return {plan.name: _sampled(plan, cleaned, step) for plan in read}


def _sampled(plan: Plan, cleaned: Cleaned, step: int) -> Numbers | Codes:
    column = cleaned.column(plan.name).gather_every(step)
    if not plan.spelled:
        values = column.to_numpy().copy()
        values[~np.isfinite(values)] = np.nan
        return values
    known = cleaned.spellings[plan.name].code_of
    codes = known[column.fill_null(0).to_numpy()].astype(np.int64) if len(known) else np.zeros(len(column), np.int64)
    codes[column.is_null().to_numpy()] = 0
    return codes - 1


def missing_patterns(columns: Sampled) -> tuple[MissingPattern, ...]:
    """The sets of columns that are missing together, the most frequent first; rows without a gap are none."""
    masks = {name: ~known for name, column in columns.items() if not (known := _known(column)).all()}
    if not masks:
        return ()
    rows = len(next(iter(masks.values())))
    names = {f"{place}": name for place, name in enumerate(masks)}  # no name of a source is that of the count
    frame = pl.DataFrame(dict(zip(names, masks.values(), strict=True)))
    counted = frame.group_by(pl.all()).len("rows").filter(pl.any_horizontal(list(names)))
    found = [
        (row["rows"], tuple(name for place, name in names.items() if row[place]))
        for row in counted.iter_rows(named=True)
    ]
    found.sort(key=lambda each: (-each[0], each[1]))
    return tuple(MissingPattern(columns=together, share=count / rows) for count, together in found[:PATTERNS])


def relations(columns: Sampled) -> tuple[Relation, ...]:
    """The strength of the relation of each pair among the first `COLUMNS` columns that vary."""
    varied = {name: kept for name, column in columns.items() if (kept := _comparable(column)) is not None}
    names = list(varied)[:COLUMNS]
    pairs = ((left, right) for place, left in enumerate(names) for right in names[place + 1 :])
    found = (_relation(left, right, varied[left], varied[right]) for left, right in pairs)
    return tuple(each for each in found if each is not None)


def _comparable(column: Numbers | Codes) -> Numbers | Codes | None:
    """Ranks of numbers, codes of categories; None of a column with one value or too many words."""
    if column.dtype == np.float64:
        ranks = _ranks(column.astype(np.float64))
        return ranks if np.nanmax(ranks, initial=0.0) > np.nanmin(ranks, initial=np.inf) else None
    return column if 1 < len(np.unique(column[column >= 0])) <= _CATEGORIES else None


def _ranks(values: Numbers) -> Numbers:
    ranks = pl.Series(values).fill_nan(None).rank("average")
    return ranks.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _relation(left: str, right: str, one: Numbers | Codes, other: Numbers | Codes) -> Relation | None:
    both = _known(one) & _known(other)
    if both.sum() < _FEWEST:
        return None
    one, other = one[both], other[both]
    numeric = (one.dtype == np.float64, other.dtype == np.float64)
    if all(numeric):
        return Relation(left=left, right=right, measure="spearman", strength=_correlation(one, other))
    if not any(numeric):
        return Relation(left=left, right=right, measure="cramer", strength=_cramer(one, other))
    codes, ranks = (other, one) if numeric[0] else (one, other)
    return Relation(left=left, right=right, measure="eta", strength=_correlation_ratio(codes, ranks))


def _known(column: Numbers | Codes) -> Mask:
    known: Mask = ~np.isnan(column) if column.dtype == np.float64 else column >= 0
    return known


def _correlation(one: Numbers | Codes, other: Numbers | Codes) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale else 0.0


def _correlation_ratio(codes: Numbers | Codes, values: Numbers | Codes) -> float:
    """Eta: root of the share of the values' variance that lies between the categories (Pearson 1905)."""
    places = codes.astype(np.int64)
    sizes = np.bincount(places)
    means = np.bincount(places, weights=values) / np.maximum(sizes, 1)
    total = float(((values - values.mean()) ** 2).sum())
    between = float((sizes * (means - values.mean()) ** 2).sum())
    return float(np.sqrt(min(between / total, 1.0))) if total else 0.0


def _cramer(one: Numbers | Codes, other: Numbers | Codes) -> float:
    """Cramer's V with the correction of its bias (Bergsma 2013)."""
    rows, columns = (np.unique(codes, return_inverse=True)[1] for codes in (one, other))
    height, width, total = int(rows.max()) + 1, int(columns.max()) + 1, len(rows)
    table = np.bincount(rows * width + columns, minlength=height * width).reshape(height, width)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    square = float(((table - expected) ** 2 / expected).sum()) / total
    square = max(0.0, square - (height - 1) * (width - 1) / (total - 1))
    height_left, width_left = (size - (size - 1) ** 2 / (total - 1) for size in (height, width))
    least = min(height_left, width_left) - 1
    return float(np.sqrt(min(square / least, 1.0))) if least > 0 else 0.0
