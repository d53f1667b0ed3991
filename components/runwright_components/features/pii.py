"""Personal data replaced in texts, by the same code in the batch and in a request."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
from polars.datatypes import DataTypeClass

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config.pii import PiiKind
from runwright_components.features.pii_patterns import PATTERNS, normal, replaced
from runwright_components.features.values import holds_text

MASKING = "pii.json"  # in PREPROCESSING, where personal data are masked or hashed
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")  # a hash without digits reads as nothing else
_HASHED = 16  # letters of 4 bits


class Masking(Document):
    """What is replaced in which column: by `<email>`, or with `hash` by `<email:LETTERS>`, an HMAC-SHA-256 keyed with
    `salt`, of which 64 bits are kept; equal addresses stay equal. What was replaced is found by no pattern again."""

    action: Literal["mask", "hash"]
    columns: dict[str, tuple[PiiKind, ...]]
    salt: str = ""

    @classmethod
    def beside(cls, preprocessing: Path) -> Masking | None:
        """That of a preprocessing's folder; None where nothing is masked."""
        return cls.read(preprocessing, MASKING) if (preprocessing / MASKING).exists() else None

    def text(self, text: str, kinds: Sequence[PiiKind]) -> str:
        """One text with what these kinds find replaced."""
        for kind in kinds:
            text = replaced(text, kind, self._writer(kind))
        return text

    def series(self, values: pl.Series) -> pl.Series:
        """A column of texts, or of lists or objects with texts in them; another one as it is."""
        kinds = self.columns.get(values.name, ())
        if not kinds or not holds_texts(values.dtype):
            return values
        if values.dtype.is_nested():
            return _rebuilt(values, lambda text: self.text(text, kinds))
        texts = values.cast(pl.String)
        hits = texts.to_frame().select(pl.first().str.contains(hints(kinds)).fill_null(value=False)).to_series()
        places = hits.arg_true()
        if not len(places):
            return texts
        changed = pl.Series([self.text(text, kinds) for text in texts.gather(places).to_list()], dtype=pl.String)
        return texts.scatter(places, changed)

    def frame(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with every column of these masked."""
        return rows.with_columns([self.series(rows[name]) for name in self.columns if name in rows.columns])

    def cells(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """The cells of a request, a list a column."""
        masked: dict[str, Any] = dict(columns)
        for name, kinds in self.columns.items():
            if name in masked:
                cells = masked[name]
                masked[name] = [self.text(cell, kinds) if type(cell) is str else cell for cell in cells]
        return masked

    def _writer(self, kind: PiiKind) -> Callable[[str], str]:
        if self.action == "mask":
            return lambda _found: f"<{kind}>"
        return lambda found: f"<{kind}:{self._hash(normal(found, kind))}>"

    def _hash(self, text: str) -> str:
        digest = hmac.new(self.salt.encode(), text.encode(), hashlib.sha256).hexdigest()
        return digest[:_HASHED].translate(_LETTERS)


def hints(kinds: Sequence[PiiKind]) -> str:
    """The regular expression that a text with one of these kinds matches."""
    return "|".join(PATTERNS[kind].hint for kind in kinds)


def holds_texts(dtype: pl.DataType | DataTypeClass) -> bool:
    """Whether a column of this type holds text, maybe within lists or objects."""
    if isinstance(dtype, pl.List | pl.Array):
        return holds_texts(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(holds_texts(field.dtype) for field in dtype.fields)
    return holds_text(dtype() if isinstance(dtype, type) else dtype)


def texts_in(value: Any) -> list[str]:
    """Every text within a value."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts_in(part)]


def _rebuilt(values: pl.Series, change: Callable[[str], str]) -> pl.Series:
    def of(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, dict):
            return {name: of(part) for name, part in value.items()}
        return [of(part) for part in value] if isinstance(value, list) else value

    return pl.Series(values.name, [of(value) for value in values.to_list()], dtype=values.dtype)
