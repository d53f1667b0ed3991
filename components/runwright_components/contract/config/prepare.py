"""What the prepare stage is told."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from runwright_components.contract.config.base import ColumnType, Config, Modality, TaskKind
from runwright_components.contract.config.duplicates import DuplicatesBy, DuplicatesFuzzy, NearDuplicates
from runwright_components.contract.config.engine import EngineName
from runwright_components.contract.config.expectations import ExpectationConfig
from runwright_components.contract.config.features import (
    CategoricalRules,
    DateRules,
    Encoding,
    NumericRules,
    SelectRules,
    TfidfRules,
)
from runwright_components.contract.config.missing import ColumnMissing, MissingRules
from runwright_components.contract.config.pii import PiiRules
from runwright_components.contract.config.series import SeriesRules
from runwright_components.contract.config.windows import WindowRules


class Column(Config):
    """What the user says of one column; None leaves it to inference."""

    name: str
    type: ColumnType | None = None
    date_formats: tuple[str, ...] = ()  # strptime formats, tried in order
    missing: ColumnMissing | None = None
    fill: JsonValue = None  # with missing: constant
    outliers: Literal["none", "clip", "drop", "missing"] | None = None
    encode: Encoding | None = None
    order: tuple[str, ...] = ()  # with encode: ordinal; none: by frequency


class OutlierRules(Config):
    rule: Literal["none", "iqr", "zscore", "isolation"] = "none"
    factor: float = 3.0  # IQR multiples beyond the quartiles, or standard deviations
    action: Literal["clip", "drop", "missing"] = "clip"
    share: float = 0.01  # isolation: of the training rows, dropped


class FormatRules(Config):
    decimal: Literal["auto", "point", "comma"] = "auto"
    dates: tuple[str, ...] = ()  # extra strptime formats, tried before the built-in ones
    fold_case: bool = True  # categories that differ only in case or white space are one
    numbers: bool = True  # read "1,234", "$5", "12 %", "3.5 kg" as numbers when a column has one such notation


class TextRules(Config):
    column: str = "text"
    max_tokens: int = 256
    vocabulary: int = 8000  # BPE trained on the training split; ignored for a pretrained encoder
    lowercase: bool = True
    prompt: str | None = None  # generation: columns of examples whose response alone is learned
    response: str | None = None
    messages: str | None = None  # generation: a column of conversations


class ImageRules(Config):
    column: str = "image"
    height: int = 32
    width: int = 32
    channels: Literal[1, 3] = 3


Strategy = Literal["random", "stratified", "group", "time", "hash", "predefined"]


class SplitRules(Config):
    strategy: Strategy = "random"
    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15
    by: str | None = None  # the group or time column, the split's name, or what hash looks at in place of the row
    seed: int = 0
    remember: bool | None = None  # whether rows keep the split of a former revision; None: where the strategy lets them
    folds: int | None = None  # models of a cross-validation over what is not the test


class PrepareConfig(Config):
    modality: Modality
    task: TaskKind
    target: str
    engine: EngineName = "local"  # tables; the outputs are the same
    columns: tuple[Column, ...] = ()
    missing: MissingRules = MissingRules()
    duplicates: Literal["drop", "keep"] = "drop"
    duplicates_by: DuplicatesBy | None = None  # tables
    duplicates_fuzzy: DuplicatesFuzzy | None = None  # tables
    near_duplicates: NearDuplicates | None = None  # texts and images
    leakage: Literal["warn", "fail", "drop", "ignore"] = "warn"  # tables
    label_errors: Literal["ignore", "warn"] = "ignore"  # classification of tables
    outliers: OutlierRules = OutlierRules()
    formats: FormatRules = FormatRules()
    numeric: NumericRules = NumericRules()
    categorical: CategoricalRules = CategoricalRules()
    dates: DateRules | None = None
    tfidf: TfidfRules | None = None
    select: SelectRules | None = None
    text: TextRules = TextRules()
    image: ImageRules = ImageRules()
    expectations: tuple[ExpectationConfig, ...] = ()
    pii: PiiRules = PiiRules()
    windows: WindowRules | None = None  # tables
    series: SeriesRules | None = None  # of the modality series
    split: SplitRules = SplitRules()
    pretrained: str | None = None  # folder of a Hugging Face encoder: its tokenizer is used
    base: str = "."  # folder that `pretrained` is relative to
