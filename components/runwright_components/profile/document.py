"""What a profile says: the document that its page is drawn from, and that its `prepare` section is written from."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import TaskKind
from runwright_components.prepare.quality import ColumnQuality, Duplicates, MissingPattern, Relation

FindingKind = Literal[
    "unused",
    "constant",
    "sentinel",
    "outliers",
    "leakage",
    "copy",
    "typos",
    "missing",
    "imbalance",
    "dates",
    "personal",
]


class Finding(Document):
    """Something odd about a column. `note` says what was seen, with figures."""

    kind: FindingKind
    column: str
    note: str


class Proposal(Document):
    """A line of the `prepare` section. `field` is its key there; of `columns` and `expectations` it is one item more.

    What is not `sure` depends on what the data mean: it is written as a comment, for a person to decide.
    """

    field: Literal["target", "columns", "missing", "pii", "duplicates", "split", "expectations"]
    value: JsonValue
    reason: str
    sure: bool = True


class Profile(Document):
    """Of one table; `columns` as they are, before anything is cleaned."""

    name: str
    rows: int
    target: str
    task: TaskKind
    columns: tuple[ColumnQuality, ...]
    duplicates: Duplicates
    missing_together: tuple[MissingPattern, ...] = ()
    relations: tuple[Relation, ...] = ()
    findings: tuple[Finding, ...] = ()
    proposals: tuple[Proposal, ...] = ()
