"""How the prepare stage makes inputs of a table's columns."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config

Encoding = Literal["index", "onehot", "ordinal", "target", "hashing"]
DatePart = Literal["days", "year", "month", "day", "weekday", "hour", "weekend"]


class Bins(Config):
    count: int = 10
    edges: Literal["quantile", "uniform"] = "quantile"
    encode: Literal["index", "onehot"] = "index"
    columns: tuple[str, ...] = ()  # none: all numeric ones


class Polynomial(Config):
    degree: int = 2
    interactions_only: bool = False
    columns: tuple[str, ...] = ()  # none: all numeric ones


class NumericRules(Config):
    scale: Literal["standard", "minmax", "robust", "power", "none"] = "standard"
    bins: Bins | None = None
    polynomial: Polynomial | None = None


class CategoricalRules(Config):
    encode: Encoding = "index"  # index: codes for an embedding; 0 is reserved for unseen or rare
    min_count: int = 1  # rarer categories of the training split are encoded like unseen ones
    max_categories: int = 1000
    smoothing: float = 10.0  # target: rows that the mean of all rows weighs
    folds: int = 5  # target
    buckets: int = 1024  # hashing
    typos: Literal["keep", "merge"] = "keep"


class DateRules(Config):
    parts: tuple[DatePart, ...] = ("days", "year", "month", "weekday", "hour")
    cyclic: bool = True


class TfidfRules(Config):
    vocabulary: int = 1000
    min_count: int = 2
    words: int = 1  # longest run of words that is one term
    dimensions: int = 32  # 0: an input a term


class SelectRules(Config):
    method: Literal["mutualInformation", "variance"] = "mutualInformation"
    keep: int
