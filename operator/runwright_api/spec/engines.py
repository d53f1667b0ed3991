"""What Spark and Ray do not prepare: rules of `spec`. Everything else gives the same files on every engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runwright_api.part import Path, Rule, unless


@dataclass(frozen=True)
class _Local:
    """Something that only `engine: local` does: whether a spec asks for it, in Python and in CEL, and where."""

    what: str
    wanted: Callable[[Any], bool]
    cel: str
    path: Path


_LOCAL = (
    _Local(
        "texts, images, time series and environments",
        lambda spec: spec.train.modality != "tabular",
        "!self.train.task.startsWith('tabular-')",
        ("data", "engine"),
    ),
    _Local(
        "an isolation forest",
        lambda spec: spec.prepare.outliers.rule == "isolation",
        "has(self.prepare) && has(self.prepare.outliers) && has(self.prepare.outliers.rule)"
        " && self.prepare.outliers.rule == 'isolation'",
        ("prepare", "outliers", "rule"),
    ),
    _Local(
        "duplicates that nearly agree",
        lambda spec: spec.prepare.duplicates_fuzzy is not None,
        "has(self.prepare) && has(self.prepare.duplicatesFuzzy)",
        ("prepare", "duplicatesFuzzy"),
    ),
    _Local(
        "columns of the rows before",
        lambda spec: spec.prepare.windows is not None,
        "has(self.prepare) && has(self.prepare.windows)",
        ("prepare", "windows"),
    ),
    _Local(
        "the search for wrong labels",
        lambda spec: spec.prepare.label_errors != "ignore",
        "has(self.prepare) && has(self.prepare.labelErrors) && self.prepare.labelErrors != 'ignore'",
        ("prepare", "labelErrors"),
    ),
)


def _rule(only: _Local) -> Rule:
    return Rule(
        message=f"the engines spark and ray have not got {only.what}",
        broken=lambda spec: unless(spec.data.engine == "local" or not only.wanted(spec), *only.path),
        cel=f"!has(self.data) || !has(self.data.engine) || self.data.engine == 'local' || !({only.cel})",
        cure="use `engine: local`"
        if only.path == ("data", "engine")
        else f"use `engine: local`, or remove {'.'.join(map(str, only.path))}",
    )


ENGINE_RULES = tuple(_rule(only) for only in _LOCAL)
