"""Raw columns read once: numbers, and numbers of spellings, in Arrow files that later passes map a column at a time.

What the columns hold: Float64 as `features.values` reads it (null: missing, NaN: unreadable) for
numeric, boolean and datetime columns; the number of the spelling (UInt32) for categories, labels and groups; a hash of
the raw value (UInt64) for ignored columns, which still tell duplicates apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.engines import Engine
from runwright_components.features.values import Words, holds_text, key, text_of
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.parts import Part, cut, replacing

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Spellings:
    """The distinct values of a categorical column, as text; `keys[i]` is that of `texts[i]`, null where it is missing.
    `code_of[i]` numbers the distinct keys (from 1; 0: missing)."""

    texts: pl.Series
    keys: pl.Series
    code_of: NDArray[np.uint32]


@dataclass(frozen=True)
class Cleaned:
    """The cleaned columns, and what the raw ones looked like where the cleaned ones no longer tell."""

    parts: tuple[Part, ...]
    engine: Engine
    rows: int
    spellings: dict[str, Spellings]
    nulls: dict[str, int]  # of text columns that are read as numbers, truth values or times
    plain: dict[str, int]  # rows of text columns that are plain numbers as they stand

    def column(self, name: str) -> pl.Series:
        """One column, mapped from the files rather than read."""
        return pl.concat([pl.read_ipc(part.path, columns=[name]).to_series() for part in self.parts])

    def unlink(self) -> None:
        """Remove the files."""
        for part in self.parts:
            part.path.unlink()

    def numbers(self, name: str, rows: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """A Float64 column, or `rows` of it, with NaN where it is missing or unreadable."""
        return self._at(name, rows).to_numpy()

    def keys(self, name: str, rows: NDArray[np.intp] | None = None) -> NDArray[np.uint32]:
        """The number of the key of each row, or of `rows`, 0 where it is missing."""
        column, known = self._at(name, rows), self.spellings[name].code_of
        if not len(known):
            return np.zeros(len(column), dtype=np.uint32)
        codes: NDArray[np.uint32] = known[column.fill_null(0).to_numpy()]
        if column.null_count():
            codes[column.is_null().to_numpy()] = 0
        return codes

    def _at(self, name: str, rows: NDArray[np.intp] | None) -> pl.Series:
        column = self.column(name)
        return column if rows is None else column.gather(rows)


def clean(
    source: pl.LazyFrame, plans: Sequence[Plan], words: Words, folder: Path, rows: int, engine: Engine
) -> Cleaned:
    """Read the raw rows in one pass, which the engine cuts into parts, into files of `folder`."""
    parts = cut(rows, engine.parts(rows), folder)
    found = engine.run(_Reading(source, tuple(plans), words), parts)
    spellings = _together([one.texts for one in found])
    if len(parts) > 1:
        numbered = [(part, _places(one.texts, spellings)) for part, one in zip(parts, found, strict=True)]
        engine.run(_renumber, numbered)
        for part in parts:
            part.read.unlink()
    return Cleaned(
        tuple(parts),
        engine,
        rows,
        {name: _spellings(texts, words) for name, texts in spellings.items()},
        _sum([one.nulls for one in found]),
        _sum([one.plain for one in found]),
    )


@dataclass(frozen=True)
class _Found:
    """What one part tells: its spellings by column, in the order of their numbers, and what `Cleaned` counts."""

    texts: dict[str, pl.Series]
    nulls: dict[str, int]
    plain: dict[str, int]


@dataclass(frozen=True)
class _Reading:
    """Reads a part into its file; spellings are numbered as they come."""

    source: pl.LazyFrame
    plans: tuple[Plan, ...]
    words: Words

    def __call__(self, part: Part) -> _Found:
        frame = part.of(self.source)
        pools: dict[str, pl.Categories] = {}
        columns: list[pl.Expr] = []
        counts: list[pl.Expr] = []
        for plan in self.plans:
            name = plan.name
            value = pl.col(name)
            if plan.reader is None:
                if not (plan.dtype.is_nested() or plan.dtype == pl.Object):
                    columns.append(value.hash().alias(name))
            elif plan.spelled:
                pools[name] = pl.Categories.random()
                spelled = text_of(value, plan.dtype).cast(pl.Categorical(pools[name]))
                columns.append(spelled.to_physical().alias(name))
            else:
                columns.append(plan.reader.expression(plan.dtype, self.words).alias(name))
                if holds_text(plan.dtype):
                    stripped = text_of(value, plan.dtype).str.strip_chars()
                    as_plain = stripped.cast(pl.Float64, strict=False).is_finite().sum()
                    counts += [value.null_count().alias(f"nulls:{name}"), as_plain.alias(f"plain:{name}")]
        found: dict[str, int] = {}
        with replacing(part.read) as path:
            sink = frame.select(columns).sink_ipc(path, compression="uncompressed", lazy=True)
            if counts:
                _, counted = pl.collect_all([sink, frame.select(counts)], engine="streaming")
                found = counted.row(0, named=True)
            else:
                sink.collect(engine="streaming")
        return _Found(
            {name: pool.to_series() for name, pool in pools.items()},
            {name.removeprefix("nulls:"): count for name, count in found.items() if name.startswith("nulls:")},
            {name.removeprefix("plain:"): count for name, count in found.items() if name.startswith("plain:")},
        )


def _together(found: Sequence[Mapping[str, pl.Series]]) -> dict[str, pl.Series]:
    """The distinct spellings of all parts, by column."""
    if len(found) == 1:
        return dict(found[0])
    return {name: pl.concat([texts[name] for texts in found]).unique(maintain_order=True) for name in found[0]}


def _places(texts: Mapping[str, pl.Series], spellings: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    """Where a part's spellings stand among those of all parts, UInt32 [spellings of the part] by column."""
    found = {}
    for name, known in texts.items():
        all_of_them = spellings[name].alias("text").to_frame().with_row_index("place")
        placed = known.alias("text").to_frame().join(all_of_them, on="text", how="left", maintain_order="left")
        found[name] = placed["place"]
    return found


def _renumber(given: tuple[Part, Mapping[str, pl.Series]]) -> None:
    """Number the spellings of a part as all parts do."""
    part, places = given
    frame = pl.read_ipc(part.read)
    columns = [places[name].gather(frame[name]).alias(name) for name in places]
    with replacing(part.path) as path:
        frame.with_columns(columns).write_ipc(path, compression="uncompressed")


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in counts) for name in counts[0]}


def _spellings(texts: pl.Series, words: Words) -> Spellings:
    named = texts.alias("text")
    keys = named.to_frame().select(key(pl.col("text"), pl.String(), words)).to_series()
    # Numbered by the alphabet: the order in which spellings were met depends on threads.
    code_of = keys.rank("dense").fill_null(0).cast(pl.UInt32).to_numpy()
    return Spellings(named, keys, code_of)


def first_of_each(cleaned: Cleaned, plans: Sequence[Plan]) -> Mask:
    """True for each row that repeats no earlier one, bool [rows].

    All columns are compared as read (1,000 is 1000, MALE is male), but for those that the configuration ignores.
    Rows are compared by a 64-bit hash: among n distinct rows one is taken for a duplicate with probability
    n^2 / 2^65, 3 in a million for ten million rows.
    """
    hashes = row_hashes(cleaned, [plan for plan in plans if compared(plan)])
    first = np.ones(cleaned.rows, dtype=np.bool_)
    # Sorting finds the few hashes that repeat several times faster than a table of all of them.
    ordered = np.sort(hashes.to_numpy())
    repeated = pl.Series(ordered[1:][ordered[1:] == ordered[:-1]], dtype=pl.UInt64).unique()
    if len(repeated):
        rows = hashes.is_in(repeated.implode()).arg_true().to_numpy()
        first[rows] = hashes.gather(rows).is_first_distinct().to_numpy()
    return first


def row_hashes(cleaned: Cleaned, plans: Sequence[Plan]) -> pl.Series:
    """A number for each row, UInt64 [rows], that is equal where the columns are, as read."""
    codes = {plan.name: cleaned.spellings[plan.name].code_of for plan in plans if plan.spelled}
    return pl.concat(cleaned.engine.run(_RowHashes(tuple(plan.name for plan in plans), codes), cleaned.parts))


@dataclass(frozen=True)
class _RowHashes:
    """The row hashes of a part; `codes` of the columns of spellings."""

    names: tuple[str, ...]
    codes: Mapping[str, NDArray[np.uint32]]

    def __call__(self, part: Part) -> pl.Series:
        mixed = pl.lit(0, dtype=pl.UInt64)
        for place, name in enumerate(self.names):
            value = pl.col(name)
            if name in self.codes:
                value = _key_of(value, self.codes[name])
            mixed = mixed * pl.lit(0x9E3779B97F4A7C15, dtype=pl.UInt64) ^ value.hash(place)
        return pl.scan_ipc(part.path).select(mixed.alias("hash")).collect(engine="streaming").to_series()


def _key_of(spelled: pl.Expr, code_of: NDArray[np.uint32]) -> pl.Expr:
    """The number of the key of a column of spellings."""
    codes = pl.Series(code_of, dtype=pl.UInt32)
    return spelled.map_batches(
        lambda places: codes.gather(places).fill_null(0), return_dtype=pl.UInt32, is_elementwise=True
    )


def compared(plan: Plan) -> bool:
    """Whether the column counts for duplicates."""
    return not (plan.dtype.is_nested() or plan.dtype == pl.Object) and not (
        plan.rules is not None and plan.rules.type == "ignore"
    )
