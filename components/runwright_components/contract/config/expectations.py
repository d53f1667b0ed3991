"""What the prepare stage is told to expect of the data."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class RangeRule(Config):
    """Bounds that belong to it, of numbers or of dates (ISO 8601)."""

    min: float | None = None
    max: float | None = None
    earliest: str | None = None
    latest: str | None = None


class CompareRule(Config):
    left: str
    op: Literal["<", "<=", "==", "!=", ">=", ">"]
    right: str


class ReferenceRule(Config):
    source: str
    column: str


class ExpectationConfig(Config):
    """One rule; exactly one of the fields from `type` to `min_rows` says what is expected."""

    name: str | None = None
    column: str | None = None
    type: Literal["numeric", "integer", "datetime", "boolean"] | None = None
    range: RangeRule | None = None
    one_of: tuple[str | int | float | bool, ...] = ()
    matches: str | None = None  # Rust's regular expressions; of the whole value
    not_null: bool = False
    references: ReferenceRule | None = None
    unique: tuple[str, ...] = ()
    compare: CompareRule | None = None
    min_rows: int | None = None
    on_failure: Literal["fail", "quarantine", "warn"] = "fail"
    max_share: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are looked at."""
        if self.compare is not None:
            return (self.compare.left, self.compare.right)
        return self.unique or ((self.column,) if self.column else ())

    @property
    def tolerated(self) -> float:
        """Share of the rows that may break the rule without an end of the run."""
        return self.max_share if self.max_share is not None else 0.0 if self.on_failure == "fail" else 1.0

    @property
    def said(self) -> str:
        """The rule in words."""
        if self.compare is not None:
            return f"{self.compare.left} {self.compare.op} {self.compare.right}"
        if self.unique:
            return f"{', '.join(self.unique)} unique"
        if self.min_rows is not None:
            return f"at least {self.min_rows} rows"
        if self.range is not None:
            return f"{self.column} {_bounds(self.range)}"
        if self.type is not None:
            return f"{self.column} is {self.type}"
        if self.references is not None:
            return f"{self.column} stands in {self.references.source}.{self.references.column}"
        if self.one_of:
            shown = ", ".join(str(value) for value in self.one_of[:5])
            return f"{self.column} is one of {shown}{', ...' if len(self.one_of) > 5 else ''}"
        return f"{self.column} matches {self.matches}" if self.matches else f"{self.column} is not missing"

    @property
    def title(self) -> str:
        return self.name or self.said


def _bounds(bounds: RangeRule) -> str:
    dates = bounds.earliest is not None or bounds.latest is not None
    low = bounds.earliest if dates else None if bounds.min is None else f"{bounds.min:.15g}"
    high = bounds.latest if dates else None if bounds.max is None else f"{bounds.max:.15g}"
    if low is not None and high is not None:
        return f"from {low} to {high}"
    return f"from {low} on" if low is not None else f"up to {high}"
