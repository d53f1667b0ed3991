"""The fitted state of a table's preprocessing: how each column is read, and how each input of the model is made."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from runwright_components.contract.artifacts import Document
from runwright_components.features.derived import BinnedInput, LookupInput, Product
from runwright_components.features.imputation import ChainState, NearestState
from runwright_components.features.preprocessing import State
from runwright_components.features.tfidf import TextInput
from runwright_components.features.values import Notation, Words, key, moment, number, text_of, truth

# JSON has no dates: whatever the source had, a request may send these.
ISO_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
)

Part = Literal[
    "value", "missing", "days", "year", "month", "day", "weekday", "hour", "weekend", "month_sin", "month_cos",
    "day_sin", "day_cos", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos",
]  # fmt: skip


class Reader(Document):
    """How one column of the source is read. `text`: it held text at the fit, so text is taken later, too. `merged`:
    the right key of each misspelled one, of categories."""

    name: str
    type: Literal["numeric", "boolean", "datetime", "categorical", "text"]
    text: bool
    notation: Notation = Notation()
    formats: tuple[str, ...] = ()
    merged: dict[str, str] = Field(default_factory=dict)

    def accepts(self, dtype: pl.DataType) -> bool:
        """Whether a column of this Polars type can be what was fitted."""
        words = dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))
        if dtype == pl.Null:
            return True
        if self.type == "text":
            return words
        if self.type == "numeric":
            return dtype.is_numeric() or (self.text and words) or (not self.text and dtype == pl.Boolean)
        if self.type == "boolean":
            return dtype == pl.Boolean or dtype.is_numeric() or words
        if self.type == "datetime":
            return (
                words or isinstance(dtype, (pl.Date, pl.Datetime)) or (dtype.is_integer() and "%Y%m%d" in self.formats)
            )
        return dtype.is_numeric() or words or dtype == pl.Boolean or isinstance(dtype, (pl.Date, pl.Datetime))

    def expression(self, dtype: pl.DataType, words: Words) -> pl.Expr:
        """The column as read, under its name: Float64 (numbers, 0 and 1, microseconds) or String (category keys)."""
        value = pl.col(self.name)
        if self.type == "numeric":
            read = number(value, dtype, self.notation, words)
        elif self.type == "boolean":
            read = truth(value, dtype, words)
        elif self.type == "datetime":
            read = moment(value, dtype, self.formats, words)
        elif self.type == "text":
            read = text_of(value, dtype)
        else:
            read = key(value, dtype, words)
            if self.merged:
                read = read.replace(self.merged)
        return read.alias(self.name)


class NumericInput(Document):
    """One float32 input: (value - offset) / scale of a column's number or of a part of its date, after the Yeo-Johnson
    transform by the exponent `power` where there is one.

    Values outside [low, high] are clipped or count as missing, after `outliers`; what is missing becomes `fill`. Part
    `missing` is 1 where the value is missing, else 0.
    """

    name: str
    column: str
    part: Part = "value"
    low: float | None = None
    high: float | None = None
    outliers: Literal["clip", "missing"] | None = None
    fill: float = 0.0
    power: float | None = None
    offset: float = 0.0
    scale: float = 1.0


class CategoricalInput(Document):
    """A column's categories. The code of `keys[i]` is i + 1, 0 is unseen or rare; `missing` is the code of what is
    missing: len(keys) + 1, or that of the category that fills it. With `onehot` the codes from 1 become 0/1 inputs;
    with `looked_up` they serve `LookupInput`s alone. With `buckets` there are no keys, and the code is 1 to `buckets`
    by a digest of the key."""

    name: str
    column: str
    keys: tuple[str, ...]
    missing: int = 0
    onehot: bool = False
    looked_up: bool = False
    buckets: int = 0

    @property
    def size(self) -> int:
        """Codes are 0 <= code < size."""
        return max(len(self.keys) + 1, self.buckets + 1, self.missing + 1)

    @property
    def coded(self) -> bool:
        """Whether the codes themselves are an input."""
        return not self.onehot and not self.looked_up

    @property
    def onehot_names(self) -> tuple[str, ...]:
        extra = (f"{self.name}=?",) if self.missing > len(self.keys) else ()
        return (*(f"{self.name}={key}" for key in self.keys), *extra)


class TabularState(State):
    kind: Literal["tabular"] = "tabular"
    words: Words
    columns: tuple[Reader, ...]
    numeric: tuple[NumericInput, ...] = ()
    categorical: tuple[CategoricalInput, ...] = ()
    binned: tuple[BinnedInput, ...] = ()
    lookups: tuple[LookupInput, ...] = ()
    texts: tuple[TextInput, ...] = ()
    products: tuple[Product, ...] = ()
    nearest: NearestState | None = None
    chain: ChainState | None = None

    @property
    def categories(self) -> tuple[CategoricalInput | BinnedInput, ...]:
        """Everything that has a code, by its column."""
        return (*self.categorical, *self.binned)

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The columns of the tensor `numeric` but for the products, in order."""
        hot = (name for item in self.categories if item.onehot for name in item.onehot_names)
        words = (name for item in self.texts for name in item.names)
        return (*(item.name for item in self.numeric), *hot, *(item.name for item in self.lookups), *words)

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """The columns of the tensor `numeric`, in order."""
        return (*self.factor_names, *(item.name for item in self.products))

    @property
    def coded(self) -> tuple[CategoricalInput | BinnedInput, ...]:
        """The columns of the tensor `categorical`, in order."""
        return (*(item for item in self.categorical if item.coded), *(item for item in self.binned if not item.onehot))

    @property
    def number_columns(self) -> tuple[str, ...]:
        """The columns that are read as numbers."""
        return tuple(reader.name for reader in self.columns if reader.type not in ("categorical", "text"))
