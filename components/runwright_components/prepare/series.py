"""Prepare time series: read and check them, cut them by time, and write their values with the windows of each split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import (
    PREPROCESSING,
    QUALITY,
    RAW_TEST,
    ROW_ID,
    TARGET,
    Field,
    Lineage,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import SPLITS, PrepareConfig, SeriesRules, SplitName
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.features.frequency import Frequency, infer
from runwright_components.features.series import (
    HISTORY,
    TIME,
    VALUE,
    Reader,
    SeriesPreprocessing,
    SeriesPreprocessingState,
    SeriesState,
    SeriesTable,
    arrange,
    first_of_series,
    iso,
    require_columns,
)
from runwright_components.features.series_windows import OBSERVED, SCALE, SERIES, VALUES, Runs, Windows
from runwright_components.features.tabular_state import ISO_FORMATS
from runwright_components.features.target import Target
from runwright_components.features.values import holds_text
from runwright_components.prepare import dates, notations, outputs
from runwright_components.prepare.describe import numbers
from runwright_components.prepare.labels import words
from runwright_components.prepare.quality import ColumnQuality, Dropped, Duplicates, Quality, SplitQuality, Summary
from runwright_components.prepare.raw import RawData

_SAMPLED = 10_000  # distinct texts, by which notations are told
_TEST_NUMBERS = 8 << 20  # in what the test windows see together; of more windows, every second, third ... is judged
_BATCH = 4096  # windows


def write(config: PrepareConfig, data: RawData, folder: Path, progress: Progress) -> PreparedManifest:
    """Write the prepared series into `folder`. Raises StageError for data and settings that a person can mend."""
    rules = config.series
    if rules is None:
        raise StageError(Reason.INVALID_CONFIG, "prepare.series is missing", where="prepare.series")
    require_columns(data.columns, (rules.time, *rules.by, config.target))
    source = data.kept.select(rules.time, *rules.by, config.target).collect()
    reader = Reader(rules.by, rules.time, _formats(source[rules.time], config), _target(source[config.target], config))
    rows = reader.read(source)
    kept = rows.unique(maintain_order=True) if config.duplicates == "drop" else rows
    step = _frequency(kept, rules)
    table = arrange(kept, rules.by, step, rules.gaps)
    state = _state(config, data, reader, step, table)
    cuts = _cuts(kept, config)
    plan = _plan(table, state.series, cuts)
    _require_windows(plan, table, state.series, config)
    progress.note(
        f"{len(table)} series, a step is {step.text}; {state.series.horizon} steps are forecast from "
        f"{state.series.context}, the season is {state.series.season}"
    )
    _write_values(table, plan, folder)
    preprocessing = SeriesPreprocessing(state)
    preprocessing.save(folder / PREPROCESSING)
    _write_test(table, plan, preprocessing, folder)
    report = _quality(config, data, kept, plan, table)
    report.write(folder, QUALITY)
    manifest = PreparedManifest(
        digest=files_digest(folder_files(folder)),
        modality=config.modality,
        task=config.task,
        rows=plan.rows,
        signature=preprocessing.signature,
        lineage=Lineage(
            stage="prepare",
            config=config.digest(),
            inputs={"raw": data.manifest.digest},
            version=version("runwright"),
            parents=(data.manifest.lineage,),
        ),
    )
    manifest.write(folder)
    return manifest


# ---------------------------------------------------------------- reading


def _counted(column: pl.Series) -> list[tuple[str, int]]:
    texts = column.cast(pl.String).str.strip_chars().drop_nulls().rename("text")
    return list(texts.value_counts(name="rows").sort("text").head(_SAMPLED).iter_rows())


def _formats(column: pl.Series, config: PrepareConfig) -> tuple[str, ...]:
    """The formats of the stamps, and those that requests may use besides."""
    if column.dtype.is_temporal():
        return ISO_FORMATS
    own = next((entry.date_formats for entry in config.columns if entry.name == column.name), ())
    found = dates.find(_counted(column), own or config.formats.dates)
    if found.share < 0.5:  # what few rows hold wrongly is told row by row
        shown = ", ".join(repr(text) for text, _ in _counted(column)[:3])
        raise StageError(
            Reason.DATA_INVALID,
            f"column {column.name!r} holds no dates; it begins with {shown}",
            where="prepare.series.time",
            cure="name the column of the time stamps, and give its dateFormats in prepare.columns if they are unusual",
        )
    return tuple(dict.fromkeys((*found.formats, *ISO_FORMATS)))


def _target(column: pl.Series, config: PrepareConfig) -> Target:
    """How the values read."""
    if column.dtype.is_numeric():
        return Target(name=config.target, task=config.task, words=words(config))
    found = notations.find(_counted(column), config.formats.decimal, free=config.formats.numbers)
    if not holds_text(column.dtype) or found.share < 0.5:
        shown = ", ".join(repr(text) for text, _ in _counted(column)[:3])
        raise StageError(
            Reason.DATA_INVALID,
            f"the target {column.name!r} is not numeric; it begins with {shown}",
            where="prepare.target",
            cure="name the column of the values that are forecast",
        )
    return Target(name=config.target, task=config.task, words=words(config), notation=found.notation)


def _frequency(rows: pl.DataFrame, rules: SeriesRules) -> Frequency:
    ordered = rows.sort(*rules.by, TIME)
    stamps, begins = ordered[TIME].to_numpy(), first_of_series(ordered, rules.by)
    found = infer(stamps, begins)
    if rules.frequency is not None:
        asked = Frequency.parse(rules.frequency)
        return Frequency(asked.count, asked.unit, found is not None and found.from_end)
    if found is None:
        raise StageError(
            Reason.DATA_INVALID,
            "no two stamps of a series are apart by whole seconds, so the frequency is not known",
            where="prepare.series.frequency",
            cure="give it, for example 1h; or name the columns that tell series apart in prepare.series.by",
        )
    return found


def _state(
    config: PrepareConfig, data: RawData, reader: Reader, step: Frequency, table: SeriesTable
) -> SeriesPreprocessingState:
    rules = config.series
    assert rules is not None
    season = rules.season or step.season
    context = rules.context or max(2 * rules.horizon, 2 * season, 2)
    if season > context:
        if rules.season is not None:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"a season of {season} steps does not fit into a context of {context}",
                where="prepare.series.context",
                cure=f"set it to {season} or more",
            )
        season = 1
    tail = (1 - rules.interval) / 2
    longest = int(np.diff(table.offsets).argmax())
    known = table.values[table.offsets[longest] : table.offsets[longest + 1]][:context]
    last = step.at(table.starts[longest : longest + 1], np.array([len(known) - 1]))
    values = Field(name=config.target, type="numbers", nullable=False, example=known.tolist())
    stamp = Field(name=rules.time, type="datetime", text=True, example=iso(last)[0])
    return SeriesPreprocessingState(
        signature=Signature(
            task=config.task,
            modality=config.modality,
            inputs=(values, stamp),
            ignored=(*(name for name in data.columns if name not in (values.name, stamp.name)), *data.unread),
            target=config.target,
            tensors=(Tensor(name=HISTORY, dtype="float32", shape=(None, context)),),
            example={field.name: field.example for field in (values, stamp)},
        ),
        target=reader.target,
        series=SeriesState(
            time=rules.time,
            by=rules.by,
            formats=reader.formats,
            frequency=step.text,
            from_end=step.from_end,
            context=context,
            horizon=rules.horizon,
            season=season,
            levels=(tail, 0.5, 1 - tail),
            gaps=rules.gaps,
        ),
    )


# ---------------------------------------------------------------- the splits


@dataclass(frozen=True)
class _Plan:
    """The windows of each split, the stamps at which validation and test begin, and what each series' errors are
    measured by, float64 [S]."""

    runs: dict[SplitName, Runs]
    cuts: tuple[int, int]
    scale: NDArray[np.float64]

    @property
    def rows(self) -> dict[SplitName, int]:
        return {name: len(runs) for name, runs in self.runs.items()}


def _cuts(rows: pl.DataFrame, config: PrepareConfig) -> tuple[int, int]:
    """The first stamps of validation and test: the same for all series, so that none tells another's future."""
    stamps = rows[TIME].unique().sort()
    places = (config.split.train, config.split.train + config.split.validation)
    first, second = (min(round(share * len(stamps)), len(stamps) - 1) for share in places)
    return int(stamps[first]), int(stamps[second])


def _plan(table: SeriesTable, state: SeriesState, cuts: tuple[int, int]) -> _Plan:
    """A window belongs to the split that all it foretells lies in; what it sees may lie before."""
    lengths = np.diff(table.offsets)
    ends = [np.minimum(state.step.before(cut, table.starts), lengths) for cut in cuts]
    bounds = {"train": (np.zeros_like(lengths), ends[0]), "validation": (ends[0], ends[1]), "test": (ends[1], lengths)}
    runs = {}
    for name in SPLITS:
        begin, end = bounds[name]
        first = np.maximum(begin, state.context)
        count = np.maximum(end - state.horizon - first + 1, 0)
        runs[name] = Runs(table.offsets[:-1] + first, count)
    return _Plan(runs, cuts, _scales(table, state.season, ends[0]))


def _scales(table: SeriesTable, season: int, learned: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean absolute difference of values a season apart in the first `learned` [S] steps of each series: the error
    that the seasonal naive forecast makes there (Hyndman and Koehler 2006). NaN where there is none."""
    begin = table.offsets[:-1]
    apart = np.abs(table.values[season:] - table.values[:-season])
    both = table.observed[season:] & table.observed[:-season]
    sums = np.append(0.0, np.cumsum(np.where(both, apart, 0.0)))
    counts = np.append(0, np.cumsum(both))
    end = np.maximum(begin + learned - season, begin)
    end = np.minimum(end, len(apart))
    begin = np.minimum(begin, end)
    number = counts[end] - counts[begin]
    mean = (sums[end] - sums[begin]) / np.maximum(number, 1)
    return np.where((number > 0) & (mean > 0), mean, np.nan)


def _require_windows(plan: _Plan, table: SeriesTable, state: SeriesState, config: PrepareConfig) -> None:
    longest = int(np.diff(table.offsets).max())
    needed = state.context + state.horizon
    if longest < needed:
        raise StageError(
            Reason.DATA_INVALID,
            f"the longest series has {longest} steps; a context of {state.context} and a horizon of {state.horizon} "
            f"need {needed}",
            where="prepare.series",
            cure="lower context or horizon, or collect longer series",
        )
    for name in SPLITS:
        if not len(plan.runs[name]):
            share = getattr(config.split, name)
            least = f"{needed} steps" if name == "train" else f"the horizon's {state.horizon}"
            raise StageError(
                Reason.DATA_INVALID,
                f"the {name} split, {share:.0%} of the time, has no whole window: no series has {least} in it",
                where=f"prepare.split.{name}",
                cure="give it a larger share, lower prepare.series.horizon or context, or collect longer series",
            )


# ---------------------------------------------------------------- files


def _write_values(table: SeriesTable, plan: _Plan, folder: Path) -> None:
    table.values.tofile(folder / VALUES)
    if not table.observed.all():
        table.observed.astype(np.uint8).tofile(folder / OBSERVED)
    runs = {
        f"{name}_{part}": pl.Series(getattr(plan.runs[name], part), dtype=pl.Int64)
        for name in SPLITS
        for part in ("first", "count")
    }
    pl.DataFrame({**runs, SCALE: plan.scale}).write_parquet(folder / SERIES)


def _write_test(table: SeriesTable, plan: _Plan, preprocessing: SeriesPreprocessing, folder: Path) -> None:
    """The requests of the test split, as they would be sent, and the truth of each."""
    state, target = preprocessing.state, preprocessing.target_state.name
    windows = Windows(folder, "test")
    stride = -(-len(windows) * state.context // _TEST_NUMBERS)
    asked, truths = [], []
    for rows in _parts(np.arange(0, len(windows), stride)):
        history, truth = windows.take(rows)
        series, places = windows.runs.at(rows)
        last = state.step.at(table.starts[series], places - table.offsets[series] - 1)
        keys = table.keys[series] if state.by else pl.DataFrame()
        asked.append(
            keys.with_columns(
                pl.Series(state.time, last).cast(pl.Datetime("us")),
                pl.Series(target, history),
                pl.Series(ROW_ID, rows, dtype=pl.UInt32),
            )
        )
        truths.append(
            pl.DataFrame(
                {
                    ROW_ID: pl.Series(rows, dtype=pl.UInt32),
                    TARGET: pl.Series(truth),
                    SCALE: plan.scale[series],
                }
            )
        )
    pl.concat(asked).write_parquet(folder / RAW_TEST, row_group_size=_BATCH)
    pl.concat(truths).write_parquet(folder / "test.parquet", row_group_size=_BATCH)


def _parts(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


# ---------------------------------------------------------------- quality


def _quality(config: PrepareConfig, data: RawData, kept: pl.DataFrame, plan: _Plan, table: SeriesTable) -> Quality:
    total = sum(plan.rows.values())
    short = int((np.sum([plan.runs[name].count for name in SPLITS], axis=0) == 0).sum())
    repeated = int(data.usable.sum()) - len(kept)
    missing = int(kept[VALUE].is_nan().sum())
    dropped = [Dropped(reason="the value is missing", rows=missing, column=config.target)] if missing else []
    return Quality(
        modality=config.modality,
        task=config.task,
        target=config.target,
        rows_in=data.rows,
        rows_out=len(kept) - missing,
        columns=tuple(_column(name, config, data, kept, plan, table) for name in data.columns),
        duplicates=Duplicates(found=repeated, dropped=repeated, note="rows with the same series, stamp and value"),
        dropped=tuple(dropped),
        strategy=config.split.strategy,
        splits=tuple(SplitQuality(name=name, rows=rows, share=rows / total) for name, rows in plan.rows.items()),
        measures=(outputs.measure("steps", "steps of a series", np.diff(table.offsets)),),
        findings=data.findings,
        warnings=tuple(_warnings(short, table, plan)),
    )


def _column(
    name: str, config: PrepareConfig, data: RawData, kept: pl.DataFrame, plan: _Plan, table: SeriesTable
) -> ColumnQuality:
    rules = config.series
    assert rules is not None
    kind = data.manifest.columns[name]
    if name == config.target:
        before, after = numbers(kept[VALUE].to_numpy()), numbers(table.values[table.observed])
        return ColumnQuality(
            name=name, source_type=kind, type="numeric", role="target", inputs=(HISTORY,), before=before, after=after
        )
    if name == rules.time:
        before = numbers(kept[TIME].cast(pl.Float64).to_numpy(), times=True)
        validation, test = iso(np.array(plan.cuts))
        reason = f"for all series validation begins at {validation} and the test at {test}"
        return ColumnQuality(name=name, source_type=kind, type="datetime", role="time", reason=reason, before=before)
    before = Summary(rows=data.rows)
    if name in rules.by:
        return ColumnQuality(
            name=name, source_type=kind, type="categorical", role="group", reason="tells series apart", before=before
        )
    reason = "a forecast is made of a series' own past"
    return ColumnQuality(name=name, source_type=kind, type="ignore", role="ignored", reason=reason, before=before)


def _warnings(short: int, table: SeriesTable, plan: _Plan) -> Iterator[str]:
    if short:
        yield f"{short} of {len(table)} series are too short for a window and are left out"
    filled = int((~table.observed).sum())
    if filled:
        yield f"{filled} steps ({filled / len(table.observed):.1%}) have no value: the last one stands in for them"
    unmeasured = int(np.isnan(plan.scale).sum())
    if unmeasured:
        yield f"{unmeasured} series are constant or absent in the training split and do not count in MASE"
