"""What the pages show of the data: quality.json as charts, bars and short sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runwright_components.prepare.quality import (
    ColumnQuality,
    Duplicates,
    KeptSplits,
    Measure,
    Quality,
    Repair,
    Summary,
    Top,
)
from runwright_components.prepare.verdicts import Verdict, Verdicts
from runwright_components.report.charts import Chart, Point, Tone, spark, tick_text
from runwright_components.report.relations_view import PatternView, RelationsView, patterns_view, relations_view
from runwright_components.report.wording import count, number, percent, rows

MOST_CATEGORIES = 6
OPEN_COLUMNS = 24  # more are folded away

_REPAIRS = {
    "number": "numbers in another notation",
    "unit": "units taken off",
    "date": "dates read",
    "boolean": "words for true and false",
    "case": "spellings joined",
    "missing": "words that mean missing",
    "infinite": "NaN or infinite",
    "unreadable": "unreadable, now missing",
    "text": "cleaned",
    "image": "images mended",
}
_ACTIONS = {"none": "kept", "clip": "clipped", "drop": "rows dropped", "missing": "treated as missing"}
_FILLED = {
    "nearest": "filled from the nearest training rows",
    "iterative": "filled by regressions on the other columns",
    "forward": "filled with the value before, outside the training split with {}",
    "backward": "filled with the value after, outside the training split with {}",
    "interpolate": "filled between the values before and after, outside the training split with {}",
}
_ROLES = {"target": "target", "group": "groups the split", "time": "orders the split"}


@dataclass(frozen=True)
class CategoryBar:
    name: str
    share: float  # of all rows of that time
    width: str  # of the bar, per cent of the longest
    text: str


@dataclass(frozen=True)
class Side:
    """A column before or after cleaning."""

    title: str
    facts: str
    chart: Chart | None
    bars: tuple[CategoryBar, ...]
    missing: str  # width of the missing part, per cent


@dataclass(frozen=True)
class ColumnView:
    name: str
    kind: str
    role: str
    sides: tuple[Side, ...]
    repairs: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # (what, samples)
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ExpectedView:
    """An expectation and what came of it. `samples` are (row, values)."""

    rule: str
    said: str  # empty where it is the rule's name
    outcome: str
    rows: str
    samples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Flow:
    """One step from the rows read to the rows used. `tone` is `loss` where rows were left out."""

    text: str
    rows: str
    tone: str
    note: str = ""


@dataclass(frozen=True)
class SplitView:
    names: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]  # (rows, share) a split
    classes: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]  # (class, ((rows, share, width) a split))
    targets: tuple[tuple[str, tuple[str, ...]], ...]  # regression: (figure, a value a split)


@dataclass(frozen=True)
class DataView:
    modality: str
    target: str
    strategy: str
    tiles: tuple[tuple[str, str, str], ...]  # (name, figure, context)
    flow: tuple[Flow, ...]
    columns: tuple[ColumnView, ...]
    more_columns: tuple[ColumnView, ...]
    unused: tuple[tuple[str, str], ...]  # (name, why)
    split: SplitView
    kept: str  # what became of rows that had a split before
    measures: tuple[tuple[str, str, Chart | None], ...]
    duplicates: tuple[tuple[str, ...], ...]  # header and sample rows
    duplicates_note: str
    relations: RelationsView | None
    patterns: tuple[PatternView, ...]
    expectations: tuple[ExpectedView, ...]
    warnings: tuple[str, ...]


def data_view(quality: Quality, verdicts: Verdicts | None = None) -> DataView:
    """`verdicts` are what came of the expectations, where there are any."""
    columns = tuple(column_view(column) for column in quality.columns if column.role != "ignored")
    used = [column for column in quality.columns if column.role == "input"]
    cells = sum(column.before.rows for column in used)
    missing = sum(column.before.missing for column in used)
    repaired = sum(repair.rows for column in quality.columns for repair in column.repairs)
    touched = sum(bool(column.repairs) for column in quality.columns)
    kept = quality.rows_out / quality.rows_in if quality.rows_in else None
    header, sample = duplicate_rows(quality.duplicates)
    return DataView(
        modality=quality.modality,
        target=quality.target,
        strategy=quality.strategy,
        tiles=(
            ("Rows used", count(quality.rows_out), f"{percent(kept)} of {count(quality.rows_in)} read"),
            ("Inputs", count(len(used)), f"of {count(len(quality.columns))} columns"),
            ("Missing values", percent(missing / cells if cells else 0.0), f"{count(missing)} cells of the inputs"),
            ("Values mended", count(repaired), f"in {count(touched)} columns" if touched != 1 else "in 1 column"),
            ("Duplicates", count(quality.duplicates.found), f"{count(quality.duplicates.dropped)} dropped"),
        ),
        flow=_flow(quality, verdicts),
        columns=columns[:OPEN_COLUMNS],
        more_columns=columns[OPEN_COLUMNS:],
        unused=tuple((column.name, column.reason) for column in quality.columns if column.role == "ignored"),
        split=_split(quality),
        kept="" if quality.kept is None else _kept(quality.kept),
        measures=tuple(_measure(entry) for entry in quality.measures),
        duplicates=(header, *sample) if sample else (),
        duplicates_note=quality.duplicates.note,
        relations=relations_view(quality.relations),
        patterns=patterns_view(quality.missing_together),
        expectations=() if verdicts is None else tuple(_expected(each) for each in verdicts.verdicts),
        warnings=(*quality.warnings, *(finding.text for finding in quality.findings)),
    )


def _kept(kept: KeptSplits) -> str:
    words = [f"{count(kept.known)} rows keep the split of the former revision, {count(kept.new)} are new"]
    if kept.unrecognizable:
        words.append(f"{count(kept.unrecognizable)} are like rows of another split and will not be recognized")
    return "; ".join(words) + "."


def _flow(quality: Quality, verdicts: Verdicts | None) -> tuple[Flow, ...]:
    steps = [Flow("read from the sources", count(quality.rows_in), "start")]
    if verdicts is not None and verdicts.quarantined:
        steps.append(Flow("in quarantine", f"\u2212{count(verdicts.quarantined)}", "loss", "; ".join(verdicts.aside)))
    if quality.duplicates.dropped:
        steps.append(Flow("exact duplicates", f"\u2212{count(quality.duplicates.dropped)}", "loss"))
    for entry in quality.dropped:
        place = f", column {entry.column}" if entry.column else ""
        listed = ", ".join(str(row) for row in entry.samples)
        note = f"rows {listed}{', ...' if entry.rows > len(entry.samples) else ''}" if listed else ""
        steps.append(Flow(f"{entry.reason}{place}", f"\u2212{count(entry.rows)}", "loss", note))
    steps.append(Flow("used", count(quality.rows_out), "end"))
    steps.extend(Flow(part.name, count(part.rows), "part", percent(part.share)) for part in quality.splits)
    return tuple(steps)


def column_view(column: ColumnQuality, *, before: Tone = "quiet") -> ColumnView:
    """A column's card: its sides, what was mended, what else was done. `before` is the tone of the first side."""
    domain = _domain(column)
    read = _as_words if column.type == "boolean" else _unchanged
    sides = [_side("before", read(column.before), domain, before)]
    if column.after is not None:
        sides.append(_side("after", read(column.after), domain, "one"))
    return ColumnView(
        name=column.name,
        kind=column.type,
        role=_ROLES.get(column.role, ""),
        sides=tuple(sides),
        repairs=tuple(
            (_repair(repair), tuple(dict.fromkeys(repair.samples))) for repair in column.repairs if repair.rows
        ),
        notes=tuple(_notes(column)),
    )


def _expected(verdict: Verdict) -> ExpectedView:
    return ExpectedView(
        rule=verdict.rule,
        said="" if verdict.said == verdict.rule else verdict.said,
        outcome=verdict.outcome,
        rows=count(verdict.rows) if verdict.rows else "",
        samples=tuple((count(row), _cell(values)) for row, values in verdict.samples),
    )


def _unchanged(summary: Summary) -> Summary:
    return summary


def _as_words(summary: Summary) -> Summary:
    """Truth values, which are summed up as 0 and 1, as two categories."""
    if summary.histogram is None or not summary.histogram.counts:
        return summary
    counts = summary.histogram.counts
    middle = (summary.histogram.edges[0] + summary.histogram.edges[-1]) / 2
    true = sum(found for edge, found in zip(summary.histogram.edges, counts, strict=False) if edge >= middle)
    if len(counts) == 1:
        true = counts[0] if summary.mean else 0
    top = (Top(value="true", rows=true), Top(value="false", rows=sum(counts) - true))
    return summary.model_copy(update={"histogram": None, "mean": None, "top": top})


def _domain(column: ColumnQuality) -> Point | None:
    """One axis for both times, so that before and after can be compared."""
    edges = [
        edge
        for summary in (column.before, column.after)
        if summary is not None and summary.histogram is not None
        for edge in (summary.histogram.edges[0], summary.histogram.edges[-1])
    ]
    if not edges:
        return None
    low, high = min(edges), max(edges)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _side(title: str, summary: Summary, domain: Point | None, tone: Tone) -> Side:
    return Side(
        title=title,
        facts=" \u00b7 ".join(_facts(summary)),
        chart=_spark(title, summary, domain, tone),
        bars=_categories(summary),
        missing=_width(summary.missing, summary.rows),
    )


def _facts(summary: Summary) -> list[str]:
    share = summary.missing / summary.rows if summary.rows else 0.0
    facts = [f"{percent(share)} missing" if summary.missing else "none missing"]
    if summary.first is not None and summary.last is not None:
        facts.append(f"{summary.first[:10]} to {summary.last[:10]}")
    elif summary.mean is not None and summary.std is not None:
        facts.append(f"mean {number(summary.mean)} \u00b1 {number(summary.std)}")
    if summary.distinct is not None:
        facts.append(f"{'' if summary.exact else 'about '}{count(summary.distinct)} distinct")
    return facts


def _spark(title: str, summary: Summary, domain: Point | None, tone: Tone) -> Chart | None:
    histogram = summary.histogram
    if histogram is None or domain is None:
        return None
    outside = histogram.below + histogram.above
    beyond = f", {count(outside)} outside the picture" if outside else ""
    words = f"Distribution {title} cleaning, from {number(summary.min)} to {number(summary.max)}{beyond}"
    ends = (tick_text(domain[0]), tick_text(domain[1]))
    if summary.first is not None and summary.last is not None:
        ends = (summary.first[:10], summary.last[:10])
    return spark(words, histogram.edges, histogram.counts, domain=domain, ends=ends, tone=tone)


def _categories(summary: Summary) -> tuple[CategoryBar, ...]:
    if not summary.top or summary.histogram is not None:
        return ()
    shown = [*summary.top[:MOST_CATEGORIES]]
    rest = summary.other + sum(entry.rows for entry in summary.top[MOST_CATEGORIES:])
    if rest:
        shown.append(Top(value="all others", rows=rest))
    longest = max(entry.rows for entry in summary.top) or 1  # the others together may have more: their bar is full
    return tuple(
        CategoryBar(
            name=entry.value,
            share=entry.rows / summary.rows if summary.rows else 0.0,
            width=_width(min(entry.rows, longest), longest),
            text=count(entry.rows),
        )
        for entry in shown
    )


def _repair(repair: Repair) -> str:
    note = f" ({repair.note})" if repair.note and repair.note != _REPAIRS[repair.kind] else ""
    return f"{count(repair.rows)} {_REPAIRS[repair.kind]}{note}"


def _notes(column: ColumnQuality) -> list[str]:
    notes = []
    if column.outliers is not None and column.outliers.found:
        found = column.outliers
        notes.append(
            f"{rows(found.found)} outside {number(found.low)} to {number(found.high)} "
            f"({found.rule}, factor {number(found.factor)}): {_ACTIONS[found.action]}"
        )
    if column.imputation is not None and column.imputation.rows:
        filled = column.imputation
        if filled.strategy == "drop":
            notes.append(f"{rows(filled.rows)} without a value dropped")
        elif filled.strategy == "category":
            notes.append(f"{rows(filled.rows)} without a value are a category of their own")
        else:
            value = number(filled.value) if isinstance(filled.value, int | float) else str(filled.value)
            how = _FILLED.get(filled.strategy, f"filled with the {filled.strategy}, {{}}").format(value)
            extra = ", and an input says where" if filled.indicator else ""
            notes.append(f"{rows(filled.rows)} {how}{extra}")
    return notes


def _split(quality: Quality) -> SplitView:
    splits = quality.splits
    names = list(dict.fromkeys(name for part in splits for name in part.classes))
    classes = []
    for name in names:
        figures = []
        for part in splits:
            found = part.classes.get(name, 0)
            share = found / part.rows if part.rows else 0.0
            figures.append((count(found), percent(share), f"{share * 100:.2f}%"))
        classes.append((name, tuple(figures)))
    return SplitView(
        names=tuple(part.name for part in splits),
        rows=tuple((count(part.rows), percent(part.share)) for part in splits),
        classes=tuple(classes),
        targets=_targets([part.target for part in splits]) if quality.task == "regression" else (),
    )


def _targets(summaries: Sequence[Summary | None]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (name, tuple(number(getattr(summary, field) if summary else None) for summary in summaries))
        for name, field in (("mean", "mean"), ("deviation", "std"), ("least", "min"), ("most", "max"))
    )


def _measure(measure: Measure) -> tuple[str, str, Chart | None]:
    summary = measure.summary
    histogram = summary.histogram
    chart = None
    if histogram is not None:
        low, high = histogram.edges[0], histogram.edges[-1]
        domain = (low, high) if high > low else (low - 0.5, high + 0.5)
        ends = (tick_text(low), tick_text(high))
        chart = spark(measure.label, histogram.edges, histogram.counts, domain=domain, ends=ends, tone="one")
    facts = f"{number(summary.min)} to {number(summary.max)}, mean {number(summary.mean)}"
    return measure.label, facts, chart


def duplicate_rows(duplicates: Duplicates) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the cells of a sample of repeated rows."""
    sample = duplicates.sample
    header = tuple(dict.fromkeys(name for row in sample for name in row))[:8]
    return header, [tuple(_cell(row.get(name)) for name in header) for row in sample]


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _width(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0:.2f}%"
