"""The document `quality.json`: what the data were like before and after cleaning, and what was done to them.

The report draws its pages from this document alone. Every table is bounded: at most `TOP` categories, `BINS` bins,
`SAMPLES` samples a list. `before` describes the source as read (all rows); `after` the rows that were kept, after
repairs, outliers and imputation, in the source's own unit (so the two can be drawn over each other), not scaled.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import ColumnType, Modality, SplitName, TaskKind

TOP = 20
BINS = 30
SAMPLES = 5
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Histogram(Document):
    """`counts[i]` values lie in [edges[i], edges[i + 1]), the last bin is closed. For dates the edges are seconds
    since 1970. `below` and `above` count what lies outside the edges (of a `before` with outliers)."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0


class Top(Document):
    """A category, in the spelling shown, and its number of rows."""

    value: str
    rows: int


class Summary(Document):
    """A column at one time. What does not apply to its type is None or empty.

    `distinct` counts values other than missing. `quantiles` are at `QUANTILES`. Where `exact` is False the table is
    large, and mean, std, quantiles and histogram (its counts are the sample's) come from an even sample of the rows, in
    `after` min and max, too. `first` and `last` are ISO times, of dates.
    """

    rows: int
    missing: int = 0
    distinct: int | None = None
    exact: bool = True
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    histogram: Histogram | None = None
    first: str | None = None
    last: str | None = None
    top: tuple[Top, ...] = ()
    other: int = 0  # rows of categories that are not in `top`


class Repair(Document):
    """A format that was mended. `kind`: number (notation), unit, date, boolean, case (spelling of categories),
    missing (words that mean missing), infinite (NaN and infinities), unreadable (became missing), text (white space and
    invisible characters), image.
    `samples` are pairs (as the source has it, as it was read)."""

    kind: Literal["number", "unit", "date", "boolean", "case", "missing", "infinite", "unreadable", "text", "image"]
    rows: int
    note: str = ""
    samples: tuple[tuple[str, str], ...] = ()


class Outliers(Document):
    """Values outside [low, high], bounds fitted on the training split; `found` in all splits."""

    rule: Literal["iqr", "zscore"]
    factor: float
    action: Literal["none", "clip", "drop", "missing"]
    low: float
    high: float
    found: int
    samples: tuple[float, ...] = ()


class Imputation(Document):
    """How missing values were filled; `rows` counts them in the kept rows. `value` was fitted on the training split; of
    forward, backward and interpolate it is what rows outside that split get. None where it differs by the row."""

    strategy: Literal[
        "median", "mean", "mode", "constant", "category", "drop",
        "nearest", "iterative", "forward", "backward", "interpolate",
    ]  # fmt: skip
    value: JsonValue = None
    rows: int = 0
    indicator: bool = False  # a 0/1 input says where the value was missing


class ColumnQuality(Document):
    """One column of the source, in the source's order."""

    name: str
    source_type: str  # Polars type of the raw data
    type: ColumnType
    role: Literal["input", "target", "group", "time", "ignored"]
    reason: str = ""  # why it has this type, or why it is ignored
    given: bool = False  # the type was given, not inferred
    inputs: tuple[str, ...] = ()  # columns of the prepared splits that come from it
    before: Summary
    after: Summary | None = None
    repairs: tuple[Repair, ...] = ()
    outliers: Outliers | None = None
    imputation: Imputation | None = None


class Duplicates(Document):
    """Rows that repeat an earlier one. `note` says what was compared; `sample` shows repeated rows as the source has
    them. Found and not dropped where the configuration keeps them."""

    found: int = 0
    dropped: int = 0
    note: str = ""
    sample: tuple[dict[str, JsonValue], ...] = ()


class Dropped(Document):
    """Rows left out, other than duplicates. `samples` are row numbers of the raw data."""

    reason: str
    rows: int
    column: str | None = None
    samples: tuple[int, ...] = ()


class SplitQuality(Document):
    """A split's size and its target: rows a class, or the values in their unit."""

    name: SplitName
    rows: int
    share: float  # of the rows kept
    classes: dict[str, int] = Field(default_factory=dict)
    target: Summary | None = None


class KeptSplits(Document):
    """What the memory of splits did. Rows are recognized by `columns`: `known` ones keep the split that they had,
    `new` ones were dealt; `unrecognizable` ones are like rows of another split and are not remembered. `lost`: a
    former revision remembered rows, and none of them was recognized."""

    columns: tuple[str, ...]
    known: int
    new: int
    unrecognizable: int = 0
    lost: bool = False


class Measure(Document):
    """A derived quantity a row: tokens of a text, width of an image. `name` is the key, `label` what to print."""

    name: str
    label: str
    summary: Summary


class MissingPattern(Document):
    """Columns without a value in the same rows, and the share of such rows, in an even sample of them."""

    columns: tuple[str, ...]
    share: float


class Relation(Document):
    """How much two columns tell of each other, 0 to 1 (spearman: -1 to 1), by an even sample of the rows: the rank
    correlation of numbers, Cramer's V of categories, the correlation ratio (eta) of one of each."""

    left: str
    right: str
    measure: Literal["spearman", "cramer", "eta"]
    strength: float


class Finding(Document):
    """Something about the data that a person should know. `kind`: target (a column foretells the target by itself),
    identifier (a value of its own for each row), entity (on both sides of the split), label (that seems wrong), typo
    (categories that were merged), personal (data about persons).
    `score` is a share; `samples` are row numbers of the raw data."""

    kind: Literal["target", "identifier", "entity", "label", "typo", "personal"]
    severity: Literal["high", "medium", "low"]
    text: str
    column: str | None = None
    score: float | None = None
    rows: int = 0
    samples: tuple[int, ...] = ()


class Quality(Document):
    modality: Modality
    task: TaskKind
    target: str
    rows_in: int
    rows_out: int
    columns: tuple[ColumnQuality, ...]
    duplicates: Duplicates = Duplicates()
    dropped: tuple[Dropped, ...] = ()
    strategy: str  # of the split
    splits: tuple[SplitQuality, ...]
    kept: KeptSplits | None = None
    measures: tuple[Measure, ...] = ()
    missing_together: tuple[MissingPattern, ...] = ()
    relations: tuple[Relation, ...] = ()
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()
