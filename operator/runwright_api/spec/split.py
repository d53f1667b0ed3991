"""`spec.prepare.split`: which rows train, which stop training early, and which judge."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Part, Rule, given, none_given_cel, unless
from runwright_api.text import ColumnName

Share = Annotated[float, Field(ge=0.0, le=1.0)]

_SPLITS = ("train", "validation", "test")
_CHANCE = (*_SPLITS, "seed")
_NEED_BY = ("group", "time", "predefined")
_TAKE_BY = (*_NEED_BY, "hash")
_CUT_BY = ("random", "stratified", "group", "time")
_MOVES_ON = ("time", "predefined")
_SUM_TOLERANCE = 1e-6
_SUM_CEL = " + ".join(
    f"(has(self.{name}) ? self.{name} : {share})" for name, share in zip(_SPLITS, (0.7, 0.15, 0.15), strict=True)
)


def _shares(split: Split) -> float:
    return split.train + split.validation + split.test


def _among(strategies: tuple[str, ...]) -> str:
    return f"self.strategy in [{', '.join(repr(name) for name in strategies)}]"


class Split(Part):
    """How rows are divided into training, validation and test."""

    strategy: Literal["random", "stratified", "group", "time", "hash", "predefined"] = "stratified"
    """group: rows that share a value of `by` stay together; time: the newest rows by `by` are the test.

    hash: a digest of the row, or of `by`, decides, so that a row stays in its split when the data grow; predefined: the
    column `by` says train, validation or test. Default: stratified; random for regression, time for series.
    """
    train: Share = 0.7
    """Share of the training split. Default: 0.7."""
    validation: Share = 0.15
    """Share of the validation split, which stops training early. Default: 0.15."""
    test: Share = 0.15
    """Share of the test split, which training never sees. Default: 0.15."""
    by: ColumnName | None = None
    """The group or time column, the column that names the split, or the identifier that hash looks at."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the shuffle, key of the digest. Default: 0."""
    remember: bool | None = None
    """Rows keep the split that a former revision gave them, so that a test row never trains a later one; false deals
    all rows anew. Default: true, but for time and predefined."""

    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    """Cross-validation: as many models, each prepared, trained and judged without and by its part of the rows that are
    not the test. Their figures are told; the model that is served is another one."""
    nested: bool = False
    """With folds and spec.tune: each of these models has a search of its own. Default: false, the best values found."""

    rules = (
        Rule(
            message="train, validation and test sum to 1",
            broken=lambda self: unless(abs(_shares(self) - 1.0) <= _SUM_TOLERANCE, "train"),
            cel=f"{_SUM_CEL} - 1.0 <= 0.000001 && 1.0 - ({_SUM_CEL}) <= 0.000001",
            cure="give all three; those not given are 0.7, 0.15 and 0.15",
        ),
        Rule(
            message="train, validation and test are each greater than 0",
            broken=lambda self: [(name,) for name in _SPLITS if getattr(self, name) <= 0.0],
            cel=" && ".join(f"(!has(self.{name}) || self.{name} > 0.0)" for name in _SPLITS),
            cure="each split needs some rows: training learns, validation stops it, test judges it",
        ),
        Rule(
            message="a group, time or predefined split needs the column, `by`",
            broken=lambda self: unless(self.strategy not in _NEED_BY or self.by is not None, "by"),
            cel=f"!has(self.strategy) || !({_among(_NEED_BY)}) || has(self.by)",
            cure="add `by: COLUMN`",
        ),
        Rule(
            message="`by` belongs to a group, time, hash or predefined split",
            broken=lambda self: unless(self.by is None or self.strategy in _TAKE_BY, "by"),
            cel=f"!has(self.by) || (has(self.strategy) && {_among(_TAKE_BY)})",
            cure="set the `strategy` that looks at the column, or remove `by`",
        ),
        Rule(
            message="a predefined split has its shares already",
            broken=lambda self: [(name,) for name in given(self, _CHANCE) if self.strategy == "predefined"],
            cel=f"!has(self.strategy) || self.strategy != 'predefined' || ({none_given_cel('self', _CHANCE)})",
            cure="remove train, validation, test and seed; the column says where each row goes",
        ),
        Rule(
            message="folds are cut by a random, stratified, group or time split",
            broken=lambda self: unless(self.folds is None or self.strategy in _CUT_BY, "folds"),
            cel=f"!has(self.folds) || !has(self.strategy) || {_among(_CUT_BY)}",
            cure="choose one of these strategies, or remove `folds`",
        ),
        Rule(
            message="nested belongs to folds",
            broken=lambda self: unless(not self.nested or self.folds is not None, "nested"),
            cel="!has(self.nested) || !self.nested || has(self.folds)",
            cure="add `folds: 5`",
        ),
        Rule(
            message="a time or predefined split remembers no rows",
            broken=lambda self: unless(not self.remember or self.strategy not in _MOVES_ON, "remember"),
            cel=f"!has(self.remember) || !self.remember || !has(self.strategy) || !({_among(_MOVES_ON)})",
            cure="remove `remember`: with time the test moves on, and a column that names the split is the only word",
        ),
    )
