"""`spec.prepare`: from raw rows to model inputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Path, Rule, map_by, unless
from runwright_api.spec.duplicates import DuplicatesBy, DuplicatesFuzzy, NearDuplicates
from runwright_api.spec.expectations import EXPECTATION_RULES, Expectations
from runwright_api.spec.features import (
    CategoricalRules,
    DateRules,
    Encoding,
    NumericRules,
    Order,
    SelectRules,
    TfidfRules,
)
from runwright_api.spec.missing import ORDER_RULE, MissingRules
from runwright_api.spec.pii import PiiRules
from runwright_api.spec.series import Series
from runwright_api.spec.shared import Scalar
from runwright_api.spec.split import Split
from runwright_api.spec.windows import Windows
from runwright_api.text import ColumnName, Text

ColumnType = Literal["numeric", "categorical", "boolean", "datetime", "text", "image", "ignore"]
DateFormats = Annotated[tuple[Text, ...], Field(max_length=16), Lax]


class Column(Part):
    """What inference should not guess about a column."""

    name: ColumnName
    """Name of the column in the source."""
    type: ColumnType | None = None
    """Type of the column; ignore leaves it out. Default: inferred from the training split."""
    missing: (
        Literal[
            "median", "mean", "mode", "constant", "drop", "nearest", "iterative", "forward", "backward", "interpolate"
        ]
        | None
    ) = None
    """What becomes of missing values. Default: prepare.missing."""
    fill: Scalar | None = None
    """The value for `missing: constant`."""
    outliers: Literal["none", "clip", "drop", "missing"] | None = None
    """What becomes of outliers. Default: prepare.outliers."""
    date_formats: DateFormats = ()
    """strptime formats of a datetime column, tried in order before the usual ones."""
    encode: Encoding | None = None
    """How its categories become inputs. Default: prepare.categorical."""
    order: Order = ()
    """`encode: ordinal`: its categories from first to last. Default: from the rarest to the most frequent."""

    rules = (
        Rule(
            message="missing: constant and fill belong together",
            broken=lambda self: unless((self.missing == "constant") == (self.fill is not None), "fill"),
            cel="",  # fill has no one type, and CEL cannot see it
            cure="give `missing: constant` and `fill: VALUE`, or neither",
        ),
        Rule(
            message="an order is for `encode: ordinal`",
            broken=lambda self: unless(not self.order or self.encode == "ordinal", "order"),
            cel="!has(self.order) || (has(self.encode) && self.encode == 'ordinal')",
            cure="set `encode: ordinal` beside it, or remove it",
        ),
    )


class OutlierRules(Part):
    """Which numeric values are outliers, and what becomes of them."""

    rule: Literal["none", "iqr", "zscore", "isolation"] = "none"
    """iqr: `factor` interquartile ranges beyond the quartiles; zscore: `factor` standard deviations; isolation: the
    `share` of the training rows that an isolation forest finds most unlike the rest. Default: none."""
    factor: Annotated[float, Field(gt=0.0, le=1000.0)] = 3.0
    """How far out. Default: 3."""
    action: Literal["clip", "drop", "missing"] = "clip"
    """clip to the bound, drop the training row, or treat the value as missing; isolation drops. Default: clip."""
    share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.01
    """isolation: the share of the training rows that is dropped. Default: 0.01."""

    rules = (
        Rule(
            message="isolation judges rows, which can only be dropped",
            broken=lambda self: unless(self.rule != "isolation" or self.action == "drop", "action"),
            cel="!has(self.rule) || self.rule != 'isolation' || (has(self.action) && self.action == 'drop')",
            cure="add `action: drop`",
        ),
    )


class FormatRules(Part):
    """How values written in several ways are made one."""

    decimal: Literal["auto", "point", "comma"] = "auto"
    """The decimal sign. Default: auto, found out for each column."""
    dates: DateFormats = ()
    """strptime formats tried before the usual ones."""
    fold_case: bool = True
    """Categories that differ only in case or white space are one. Default: true."""
    numbers: bool = True
    """Read "1,234", "$5", "12 %" and "3.5 kg" as numbers. Default: true."""


class TextRules(Part):
    """How text becomes tokens."""

    column: ColumnName = "text"
    """The column that holds the text. Default: text."""
    max_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    """Longer texts are cut. Default: 256."""
    vocabulary: Annotated[int, Field(ge=300, le=1_000_000)] = 8000
    """Size of the byte-pair vocabulary learned from the training split; pretrained brings its own. Default: 8000."""
    lowercase: bool = True
    """Fold case. Default: true; false for text generation."""
    prompt: ColumnName | None = None
    """Fine-tuning of text generation: the column of the prompts; only the response is learned."""
    response: ColumnName | None = None
    """Fine-tuning of text generation: the column of the responses."""
    messages: ColumnName | None = None
    """Fine-tuning of text generation: the column of conversations, lists of {role, content}."""

    rules = (
        Rule(
            message="prompt and response belong together",
            broken=lambda self: unless((self.prompt is None) == (self.response is None), "response"),
            cel="has(self.prompt) == has(self.response)",
            cure="name both columns, or neither",
        ),
        Rule(
            message="messages hold prompts and responses already",
            broken=lambda self: unless(self.messages is None or self.prompt is None, "messages"),
            cel="!has(self.messages) || !has(self.prompt)",
            cure="name either messages, or prompt and response",
        ),
    )


class ImageRules(Part):
    """How images become pixels."""

    column: ColumnName = "image"
    """The column that holds the image. Default: image."""
    height: Annotated[int, Field(ge=8, le=1024)] = 32
    """Height after resizing. Default: 32."""
    width: Annotated[int, Field(ge=8, le=1024)] = 32
    """Width after resizing. Default: 32."""
    channels: Literal[1, 3] = 3
    """1: grey, 3: colour. Default: 3."""


def _repeated_columns(prepare: PrepareSpec) -> list[Path]:
    names = [column.name for column in prepare.columns]
    return [("columns", index, "name") for index, name in enumerate(names) if name in names[:index]]


class PrepareSpec(Part):
    """From raw rows to model inputs. Everything is fitted on the training split alone."""

    target: ColumnName = ""
    """The column to predict. Required for tables and series; images and text: label, which class folders make.

    tabular-anomaly, tabular-clustering and tabular-embedding: a label that the model is judged by and never sees.
    """
    columns: Annotated[tuple[Column, ...], Field(max_length=1000, json_schema_extra=map_by("name")), Lax] = ()
    """What inference should not guess."""
    missing: MissingRules = MissingRules()
    """Missing values."""
    expectations: Expectations = ()
    """What rows and columns must be like, and what becomes of those that are not."""
    pii: PiiRules = PiiRules()
    """Data about persons. Default: they are told of."""
    duplicates: Literal["drop", "keep"] = "drop"
    """Rows that are equal in every column. Default: drop."""
    duplicates_by: DuplicatesBy | None = None
    """Rows of a table that share a key."""
    duplicates_fuzzy: DuplicatesFuzzy | None = None
    """Rows of a table whose texts nearly agree. Default: they are not looked for."""
    near_duplicates: NearDuplicates | None = None
    """Texts and images that are nearly the same. Default: they are not looked for."""
    leakage: Literal["warn", "fail", "drop", "ignore"] = "warn"
    """Of tables: columns that foretell the target by themselves, identifiers among the inputs, and entities on both
    sides of the split. drop leaves such columns out; entities are told. Default: warn."""
    label_errors: Literal["ignore", "warn"] = "ignore"
    """tabular-classification: warn tells training rows whose label seems wrong, found by confident learning with a
    cross-validated logistic regression; it costs some seconds. Default: ignore."""
    outliers: OutlierRules = OutlierRules()
    """Outliers of numeric columns."""
    formats: FormatRules = FormatRules()
    """Numbers, dates and categories written in several ways."""
    numeric: NumericRules = NumericRules()
    """Numeric inputs."""
    categorical: CategoricalRules = CategoricalRules()
    """Categorical inputs."""
    dates: DateRules | None = None
    """Inputs of dates."""
    tfidf: TfidfRules | None = None
    """Tables: columns of free text, `columns: [{name: review, type: text}]`."""
    select: SelectRules | None = None
    """Tables: keep the best columns alone. Default: keep all."""
    text: TextRules = TextRules()
    """Text inputs."""
    image: ImageRules = ImageRules()
    """Image inputs."""
    windows: Windows | None = None
    """Tables: columns made of earlier rows of the same entity."""
    series: Series | None = None
    """Time series. Required for series-forecasting."""
    split: Split = Split()
    """Training, validation and test."""

    rules = (
        Rule(
            message="names of columns are unique",
            broken=_repeated_columns,
            cel="",  # the CRD says it: columns is a list-map by name
            cure="put what you say of a column in one place",
        ),
        ORDER_RULE,
        *EXPECTATION_RULES,
    )
