"""`spec.prepare.duplicatesBy`, `duplicatesFuzzy` and `nearDuplicates`: the same thing twice, in other words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.shared import SET
from runwright_api.text import ColumnName

_NEAR_TASKS = ("text-classification", "text-regression", "image-classification")


class DuplicatesBy(Part):
    """Rows that share a key: only one of them is kept. A row that lacks a part of the key is kept."""

    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=16, json_schema_extra=SET), Lax]
    """The columns of the key."""
    keep: Literal["first", "last"] = "first"
    """Which of the rows, in the order of the sources. Default: first."""


class DuplicatesFuzzy(Part):
    """Rows whose texts nearly agree, such as one address written in two ways: only the first of them is kept."""

    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=16, json_schema_extra=SET), Lax]
    """The columns whose texts, one after the other, are compared. A row without any text repeats nothing."""
    same: Annotated[tuple[ColumnName, ...], Field(max_length=16, json_schema_extra=SET), Lax] = ()
    """Columns whose values are the same in both rows."""
    similarity: Annotated[float, Field(ge=0.3, le=1.0)] = 0.6
    """From where on two rows are the same: the Jaccard similarity of their shingles. Default: 0.6."""
    shingle: Annotated[int, Field(ge=1, le=32)] = 3
    """How many characters in a row are a shingle. Default: 3."""
    action: Literal["drop", "warn"] = "drop"
    """warn keeps them and tells. Default: drop."""


class NearDuplicates(Part):
    """Texts or images that are nearly the same: only the first of them is kept, so that none stands in training and
    test at once."""

    action: Literal["drop", "warn"] = "drop"
    """warn keeps them and tells. Default: drop."""
    similarity: Annotated[float | None, Field(ge=0.3, le=1.0)] = None
    """From where on two are the same: of texts the Jaccard similarity of their shingles, of images the share of equal
    bits of their difference hashes. Default: 0.8 for texts, 0.95 for images."""
    unit: Literal["words", "characters"] = "words"
    """Of texts, what a shingle is made of; characters for short texts and scripts without blanks. Default: words."""
    shingle: Annotated[int, Field(ge=1, le=32)] = 3
    """Of texts, how many words or characters in a row are a shingle. Default: 3."""


DUPLICATE_RULES = (
    Rule(
        message="prepare.duplicatesBy is for tables",
        broken=lambda self: unless(
            self.prepare.duplicates_by is None or self.train.modality == "tabular", "prepare", "duplicatesBy"
        ),
        cel="!has(self.prepare) || !has(self.prepare.duplicatesBy) || self.train.task.startsWith('tabular-')",
        cure="remove it; nearDuplicates finds texts and images that are nearly the same",
    ),
    Rule(
        message="prepare.duplicatesFuzzy is for tables",
        broken=lambda self: unless(
            self.prepare.duplicates_fuzzy is None or self.train.modality == "tabular", "prepare", "duplicatesFuzzy"
        ),
        cel="!has(self.prepare) || !has(self.prepare.duplicatesFuzzy) || self.train.task.startsWith('tabular-')",
        cure="remove it; nearDuplicates finds texts and images that are nearly the same",
    ),
    Rule(
        message=f"prepare.nearDuplicates is for {', '.join(_NEAR_TASKS)}",
        broken=lambda self: unless(
            self.prepare.near_duplicates is None or self.train.task in _NEAR_TASKS, "prepare", "nearDuplicates"
        ),
        cel=(
            "!has(self.prepare) || !has(self.prepare.nearDuplicates)"
            f" || self.train.task in [{', '.join(repr(task) for task in _NEAR_TASKS)}]"
        ),
        cure="remove it; tables have duplicatesBy, for rows that share a key, and duplicatesFuzzy",
    ),
)
"""Rules of `spec`."""
