"""What a split looks at in the raw rows: the column that names the split, and the digest that decides it.

A digest depends on the row and the key alone, never on the rows around it, on the library's version or on the machine:
a row that once was in the test split is there in every later revision, however the data grow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

from runwright_components.contract.config import SPLITS
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.values import Words, key

_NAMES = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "dev": 1, "test": 2, "testing": 2}
_SEPARATOR, _MISSING = "\x1f", "\x00"


def named_splits(column: pl.Series) -> pl.Series:
    """UInt8 [N], positions in SPLITS, of a column of their names. Raises StageError for what names none."""
    names = column.to_frame().select(key(pl.col(column.name), column.dtype, Words(fold_case=True))).to_series()
    codes = names.replace_strict(_NAMES, default=None, return_dtype=pl.UInt8)
    if codes.null_count():
        wrong = column.filter(codes.is_null())
        samples = ", ".join(dict.fromkeys(repr(value) for value in wrong.head(50).to_list()[:5]))
        raise StageError(
            Reason.DATA_INVALID,
            f"{len(wrong)} of {len(column)} rows are in no split: they say {samples}",
            where=f"column {column.name}",
            cure=f"say {', '.join(SPLITS[:-1])} or {SPLITS[-1]} in every row",
        )
    return codes


def content(schema: pl.Schema, names: Iterable[str]) -> pl.Expr:
    """The row as one text (String): the columns `names` in alphabetical order, each as categories are compared.

    The order of the columns, letter case and white space do not count; nested and binary columns are left out.
    """
    words = Words(fold_case=True)
    parts = [
        key(pl.col(name), schema[name], words).fill_null(_MISSING)
        for name in sorted(names)
        if not (schema[name].is_nested() or schema[name] in (pl.Binary, pl.Object))
    ]
    return pl.concat_str(parts, separator=_SEPARATOR)


def digest(value: pl.Expr, seed: int) -> pl.Expr:
    """UInt64 of a text or of bytes: BLAKE2b under the key `seed`. Missing values have one digest."""
    secret = str(seed).encode()

    def number(cell: str | bytes | None) -> int:
        plain = cell if isinstance(cell, bytes) else (_MISSING if cell is None else cell).encode()
        return int.from_bytes(hashlib.blake2b(plain, digest_size=8, key=secret).digest(), "big")

    return value.map_batches(
        lambda cells: pl.Series([number(cell) for cell in cells.to_list()], dtype=pl.UInt64),
        return_dtype=pl.UInt64,
        is_elementwise=True,
    )
