"""Fitting the codes of categorical columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.config import SPLITS, PrepareConfig
from runwright_components.contract.config.features import Encoding
from runwright_components.features.reading import bucket
from runwright_components.features.tabular_state import CategoricalInput
from runwright_components.features.values import Words, key
from runwright_components.prepare.clean import Spellings
from runwright_components.prepare.describe import categories as describe
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.quality import SAMPLES, Imputation, Repair, Summary

Counts = NDArray[np.int64]  # rows of each spelling

_ONEHOT = 1000  # categories of a column


@dataclass(frozen=True)
class Fitted:
    """The input, None where the column cannot serve (`reason`); `labels[i]` is the spelling shown for `keys[i]`."""

    item: CategoricalInput | None
    reason: str = ""
    labels: tuple[str, ...] = ()
    after: Summary | None = None
    imputation: Imputation | None = None
    rare: int = 0  # categories of the training split that are coded like unseen ones


def counts(column: pl.Series, codes: NDArray[np.uint8], spellings: int) -> NDArray[np.int64]:
    """Rows of each spelling in each split and, last, among the rows left out: int64 [4, spellings]."""
    splits = np.minimum(codes, len(SPLITS))
    if column.null_count():
        present = column.is_not_null()
        column, splits = column.filter(present), splits[present.to_numpy()]
    # One count for all four: each pass over millions of rows is felt.
    places = splits.astype(np.int64)
    places *= spellings
    places += column.to_numpy()
    return np.bincount(places, minlength=4 * spellings).reshape(4, spellings)


def fit(
    plan: Plan, spelled: Spellings, train: Counts, kept: Counts, rows: dict[str, int], config: PrepareConfig
) -> Fitted:
    """Fit on `train`, the training rows of each spelling; `kept` are those of all kept rows, `rows` the two totals."""
    table = by_key(spelled, train)
    present = int(table["rows"].sum())
    if not present:
        return Fitted(None, "every value of the training split is missing")
    missing = rows["train"] - present
    strategy = plan.rules.missing if plan.rules and plan.rules.missing else config.missing.categorical
    if strategy in ("median", "mean"):
        strategy = "mode"
    own_code = bool(missing) and strategy == "category"
    if len(table) == 1 and not own_code:
        return Fitted(None, f"the one value {table.item(0, 'label')!r} in the training split")
    if not plan.given and plan.role == "input" and len(table) > max(20, present // 2):
        return Fitted(None, f"an identifier or free text: {len(table)} different values in {present} training rows")
    encoding = encoding_of(plan, config)
    buckets = config.categorical.buckets if encoding == "hashing" else 0
    keys = () if buckets else _frequent(table, encoding, config)
    value = None if own_code else _fill(plan, table, strategy, config)
    item = CategoricalInput(
        name=plan.name,
        column=plan.name,
        keys=keys,
        missing=max(len(keys), buckets) + 1 if value is None else _code_of(value, keys, buckets),
        onehot=encoding == "onehot",
        looked_up=encoding in ("ordinal", "target"),
        buckets=buckets,
    )
    shown = dict(table.select("key", "label").iter_rows())
    everything = by_key(spelled, kept)
    gaps = rows["kept"] - int(everything["rows"].sum())
    after = everything.select(pl.col("key").replace(shown).alias("value"), "rows")
    if value is not None and gaps:
        filled = pl.DataFrame({"value": [shown.get(value, value)], "rows": [gaps]}, schema=after.schema)
        after = pl.concat([after, filled]).group_by("value").agg(pl.col("rows").sum())
    imputation = Imputation.model_validate({"strategy": strategy, "value": value, "rows": gaps})
    return Fitted(
        item,
        "",
        tuple(shown[found] for found in keys),
        describe(after, gaps if value is None else 0),
        imputation if gaps or missing else None,
        0 if buckets else len(table) - len(keys),
    )


def encoding_of(plan: Plan, config: PrepareConfig) -> Encoding:
    """How the column's categories become inputs."""
    given = plan.rules.encode if plan.rules is not None else None
    return given or config.categorical.encode


def _frequent(table: pl.DataFrame, encoding: Encoding, config: PrepareConfig) -> tuple[str, ...]:
    rules = config.categorical
    most = min(rules.max_categories, _ONEHOT) if encoding == "onehot" else rules.max_categories
    return tuple(table.filter(pl.col("rows") >= rules.min_count).head(most).sort("key")["key"])


def _code_of(key: str, keys: tuple[str, ...], buckets: int) -> int:
    if buckets:
        return bucket(key, buckets)
    return keys.index(key) + 1 if key in keys else 0


def by_key(spelled: Spellings, rows: Counts) -> pl.DataFrame:
    """`key`, `rows` and `label` (the most frequent spelling), the most frequent key first; only what has rows."""
    table = pl.DataFrame({"key": spelled.keys, "text": spelled.texts.str.strip_chars(), "rows": rows})
    table = table.filter(pl.col("key").is_not_null() & (pl.col("rows") > 0)).group_by("key", "text").agg(pl.sum("rows"))
    ordered = table.sort("key", "rows", "text", descending=[False, True, False])
    merged = ordered.group_by("key", maintain_order=True).agg(pl.sum("rows"), pl.first("text").alias("label"))
    return merged.sort("rows", "key", descending=[True, False])


def repairs(spelled: Spellings, rows: Counts, labels: dict[str, str]) -> list[Repair]:
    """Rows whose spelling differs from the label shown, and words that mean missing."""
    table = pl.DataFrame({"key": spelled.keys, "text": spelled.texts, "rows": rows}).filter(pl.col("rows") > 0)
    table = table.with_columns(label=pl.col("key").replace_strict(labels, default=None, return_dtype=pl.String))
    found = []
    respelled = table.filter(pl.col("label") != pl.col("text")).sort("rows", "text", descending=[True, False])
    if len(respelled):
        samples = tuple(respelled.select("text", "label").head(SAMPLES).iter_rows())
        found.append(Repair(kind="case", rows=int(respelled["rows"].sum()), samples=samples))
    words = table.filter(pl.col("key").is_null()).sort("rows", "text", descending=[True, False])
    if len(words):
        samples = tuple((text, "missing") for text in words["text"].head(SAMPLES))
        found.append(Repair(kind="missing", rows=int(words["rows"].sum()), samples=samples))
    return found


def _fill(plan: Plan, table: pl.DataFrame, strategy: str, config: PrepareConfig) -> str | None:
    """The key that missing values become: the most frequent one, or the constant's."""
    if strategy != "constant":
        return str(table.item(0, "key"))
    given = plan.rules.fill if plan.rules is not None and plan.rules.fill is not None else None
    text = config.missing.fill_categorical if given is None else given
    written = str(text).lower() if isinstance(text, bool) else str(text)
    rules = Words(fold_case=config.formats.fold_case)
    return str(pl.DataFrame({"text": [written]}).select(key(pl.col("text"), pl.String(), rules)).item())
