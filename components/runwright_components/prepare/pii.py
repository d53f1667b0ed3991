"""Personal data found by rule before anything is fitted: told, masked, hashed, or left out with their column.

Whatever a later step reads, fits, shows or puts aside comes from the rewritten rows. To warn, a sample is looked at;
every other action looks at every row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from runwright_components.contract.artifacts import PREPROCESSING
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.config.pii import PiiKind, PiiRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.pii import MASKING, Masking, hints, holds_texts, texts_in
from runwright_components.features.pii_patterns import found, obscured
from runwright_components.prepare.infer import SAMPLE
from runwright_components.prepare.quality import SAMPLES, Finding
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.rewriting import rewritten
from runwright_components.prepare.sampling import sample

_LOOKED_AT = 2_000  # characters of a sampled text
_NUMBER = r"^\s*[+-]?[0-9][0-9., ']*\s*$"
_MOSTLY = 0.95  # of the sampled values are numbers: then it is a column of numbers
_COMMON = 0.5  # of a column of numbers must look personal: any number may pass a check digit
_GRAVE = ("creditCard", "iban", "ssn")


@dataclass
class Seen:
    """What was found in a column: rows by kind, the first row numbers, and a value that may be shown."""

    kinds: Sequence[PiiKind]  # that are looked for
    rows: int = 0  # with any of them
    present: int = 0  # values that are not missing
    by_kind: Counter[PiiKind] = field(default_factory=Counter)
    samples: list[int] = field(default_factory=list)
    shown: str = ""

    def add(self, values: pl.Series, first: int) -> None:
        """Look at more values, of the rows from `first` on."""
        self.present += len(values) - values.null_count()
        for place, texts in _suspects(values, self.kinds):
            hits = {kind: hit for kind in self.kinds for text in texts if (hit := found(text, kind)) is not None}
            if not hits:
                continue
            self.rows += 1
            self.by_kind.update(hits.keys())
            if len(self.samples) < SAMPLES:
                self.samples.append(first + place)
            self.shown = self.shown or obscured(next(iter(hits.values())))

    def said(self, *, exact: bool) -> str:
        """The kinds with their shares, and the value."""
        kinds = ", ".join(f"{kind} in {self.share(kind):.1%}" for kind, _ in self.by_kind.most_common())
        return f"{kinds} of its {'values' if exact else 'sampled values'}, such as {self.shown}"

    def share(self, kind: PiiKind) -> float:
        return self.by_kind[kind] / max(self.present, 1)


class Guarded(NamedTuple):
    """`data` as everything after this sees them; the columns `left_out` go once expectations are checked."""

    data: RawData
    left_out: tuple[str, ...] = ()


def guard(config: PrepareConfig, data: RawData, scratch: Path, folder: Path) -> Guarded:
    """Do what `prepare.pii` says: rewritten rows are put into `scratch`, what a server needs into `folder`.

    Raises StageError for columns that are not there, and for personal data that cannot be taken away where they are.
    """
    rules = config.pii
    if rules.action == "ignore" or config.modality in ("image", "environment"):
        return Guarded(data)
    columns = text_columns(data, rules.columns)
    if not columns:
        return Guarded(data)
    looked = survey(data, columns, rules.looked_for)
    if rules.action == "warn":
        return Guarded(_noted(data, tell(looked, rules, data.rows, whole=False)))
    kept = {} if rules.columns else {name: seen for name, seen in looked.items() if name == config.target}
    masking = Masking(
        action="hash" if rules.action == "hash" else "mask",
        columns={name: tuple(seen.kinds) for name, seen in looked.items() if seen.kinds and name not in kept},
        salt=rules.salt or "",
    )
    shown, counted = _rewrite(data, masking, scratch)
    touched = tuple(name for name, seen in counted.items() if seen.rows)
    _require_whole(config, touched)
    if rules.action != "drop":
        (folder / PREPROCESSING).mkdir(exist_ok=True)
        masking.write(folder / PREPROCESSING, MASKING)
    findings = (*tell(counted, rules, data.rows, whole=True), *tell(kept, PiiRules(), data.rows, whole=False))
    return Guarded(_noted(shown if touched else data, findings), touched if rules.action == "drop" else ())


def forget(config: PrepareConfig, columns: Sequence[str]) -> PrepareConfig:
    """The configuration without what it says of these columns, which are gone."""
    if not columns:
        return config
    return config.model_copy(update={"columns": tuple(one for one in config.columns if one.name not in columns)})


def text_columns(data: RawData, asked: Sequence[str] = ()) -> list[str]:
    """The columns that are looked at: those asked for, or all that hold text. Raises StageError for others."""
    schema = data.source.collect_schema()
    for place, name in enumerate(asked):
        if name not in schema or not holds_texts(schema[name]):
            raise StageError(
                Reason.INVALID_CONFIG,
                f"column {name!r} holds {schema[name]}, not text"
                if name in schema
                else f"the data have no column {name!r}",
                where=f"prepare.pii.columns[{place}]",
                cure="leave a column of numbers out with `columns: [{name: ..., type: ignore}]`"
                if name in schema
                else f"name one of the columns: {', '.join(schema.names()[:20])}",
            )
    return list(asked) or [name for name, dtype in schema.items() if holds_texts(dtype)]


def survey(data: RawData, columns: Sequence[str], kinds: Sequence[PiiKind]) -> dict[str, Seen]:
    """What a sample of the rows holds, by column."""
    schema = data.source.collect_schema()
    cut = [
        pl.col(name) if schema[name].is_nested() else pl.col(name).cast(pl.String).str.slice(0, _LOOKED_AT)
        for name in columns
    ]
    rows = sample(replace(data, source=data.source.select(cut)))
    return {name: _seen(rows[name], kinds) for name in columns}


def tell(looked: Mapping[str, Seen], rules: PiiRules, rows: int, *, whole: bool) -> Iterator[Finding]:
    """A finding a column. `whole`: every row was looked at."""
    done = {"mask": "masked", "hash": "hashed", "drop": "left out"}.get(rules.action)
    for name, seen in looked.items():
        if not seen.rows:
            continue
        exact = whole or rows <= SAMPLE  # then the sample is the table
        yield Finding(
            kind="personal",
            severity="high" if any(kind in _GRAVE for kind in seen.by_kind) else "medium",
            column=name,
            score=max(seen.share(kind) for kind in seen.by_kind),
            rows=seen.rows,
            samples=tuple(seen.samples) if exact else (),
            text=f"column {name!r} holds personal data: {seen.said(exact=exact)}"
            + (f"; {done}" if done else "; prepare.pii: {action: mask} hides them"),
        )


def _seen(values: pl.Series, kinds: Sequence[PiiKind]) -> Seen:
    seen = Seen(kinds)
    seen.add(values, 0)
    present = values.drop_nulls()
    if present.is_empty() or present.dtype.is_nested():
        return seen
    if present.str.contains(_NUMBER).sum() < _MOSTLY * len(present):
        return seen
    common = Seen([kind for kind in kinds if seen.share(kind) >= _COMMON])
    common.add(values, 0)
    return common


def _suspects(values: pl.Series, kinds: Sequence[PiiKind]) -> Iterator[tuple[int, list[str]]]:
    """The texts that may hold something, with their places."""
    if not kinds:
        return
    if values.dtype.is_nested():
        yield from ((place, texts_in(value)) for place, value in enumerate(values.to_list()) if value is not None)
        return
    texts = values.cast(pl.String)
    places = texts.str.contains(hints(kinds)).fill_null(value=False).arg_true()
    yield from zip(places.to_list(), ([text] for text in texts.gather(places).to_list()), strict=True)


def _rewrite(data: RawData, masking: Masking, scratch: Path) -> tuple[RawData, dict[str, Seen]]:
    """The data with everything that is found replaced, in files in `scratch`."""
    seen = {name: Seen(kinds) for name, kinds in masking.columns.items()}

    def change(rows: pl.DataFrame, first: int) -> pl.DataFrame:
        for name, each in seen.items():
            each.add(rows[name], first)
        return masking.frame(rows)

    return rewritten(data, scratch / "masked", change), seen


def _require_whole(config: PrepareConfig, touched: Sequence[str]) -> None:
    """Raise StageError where a column whose values must stay apart, or must stay there, would not."""
    action = config.pii.action
    apart: dict[str | None, str] = {config.split.by: "prepare.split.by"}
    if config.duplicates_by is not None:
        apart.update(dict.fromkeys(config.duplicates_by.columns, "prepare.duplicatesBy"))
    if config.duplicates_fuzzy is not None:
        fuzzy = config.duplicates_fuzzy
        apart.update(dict.fromkeys((*fuzzy.columns, *fuzzy.same), "prepare.duplicatesFuzzy"))
    if config.windows is not None:
        apart.update(dict.fromkeys(config.windows.by, "prepare.windows.by"))
    if config.series is not None:
        apart.update(dict.fromkeys(config.series.by, "prepare.series.by"))
    needed: dict[str | None, str] = {config.target: "prepare.target"}
    if config.modality == "text":
        text = config.text
        needed.update(dict.fromkeys((text.column, text.prompt, text.response, text.messages), "prepare.text"))
    for name in touched:
        if action in ("mask", "drop") and name in apart:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"column {name!r} holds personal data and tells rows apart, which it does no more when they are gone",
                where=apart[name],
                cure="set `pii: {action: hash, salt: ...}`, which keeps equal values equal, or name other pii.columns",
            )
        if action == "drop" and name in needed:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"column {name!r} holds personal data and cannot be left out: the model is made of it",
                where=needed[name],
                cure="set `pii: {action: mask}`, or name other pii.columns",
            )


def _noted(data: RawData, findings: Iterable[Finding]) -> RawData:
    return replace(data, findings=(*data.findings, *findings))
