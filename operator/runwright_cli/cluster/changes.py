"""The difference between two specs, field by field, sorted by what it means. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runwright_api.part import Path
from runwright_api.problems import dotted
from runwright_api.recipe import recipe
from runwright_api.trainingrun import TrainingRun

NOT_GIVEN = "not given"
_LONGEST = 60


class Meaning(StrEnum):
    """What a field decides."""

    RECIPE = "recipe"  # the model: a change trains
    GATE = "gate"  # whether the model may serve: a change judges again
    DEPLOY = "deploy"  # the InferenceService
    SUSPEND = "suspend"
    LATER = "later"  # how the next revision is made, not what it is


@dataclass(frozen=True)
class Change:
    """A field that has another value; None: not given, and without a default."""

    path: str
    old: Any
    new: Any
    meaning: Meaning

    def __str__(self) -> str:
        return f"{self.path}: {shown(self.old)} -> {shown(self.new)}"


def changes(old: TrainingRun, new: TrainingRun) -> tuple[Change, ...]:
    """Every field of the spec whose value differs, defaults resolved, in the order of the API."""
    paths = dict.fromkeys(_differing(_given(old), _given(new), ("spec",)))
    in_recipe = set(_differing(recipe(old), recipe(new), ("spec",)))
    old_full, new_full = ({"spec": run.spec.model_dump(mode="json", by_alias=True)} for run in (old, new))
    found = []
    for path in paths:
        before, after = _at(old_full, path), _at(new_full, path)
        if before != after:
            meaning = Meaning.RECIPE if path in in_recipe else _meaning(path)
            found.append(Change(dotted(path), before, after, meaning))
    return tuple(found)


def shown(value: Any) -> str:
    """A value as it stands in YAML, shortened."""
    if value is None:
        return NOT_GIVEN
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _given(run: TrainingRun) -> dict[str, Any]:
    content: dict[str, Any] = run.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return content


def _differing(old: Any, new: Any, path: Path) -> Iterator[Path]:
    """Paths of the leaves that differ; a list is a leaf unless its items are mappings."""
    if old == new:
        return
    if _is_mapping(old) and _is_mapping(new):
        for key in dict.fromkeys((*(old or {}), *(new or {}))):
            yield from _differing((old or {}).get(key), (new or {}).get(key), (*path, key))
    elif _is_list_of_mappings(old) and _is_list_of_mappings(new) and (old or new):
        olds, news = list(old or ()), list(new or ())
        for index in range(max(len(olds), len(news))):
            yield from _differing(_item(olds, index), _item(news, index), (*path, index))
    else:
        yield path


def _is_mapping(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _is_list_of_mappings(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, Mapping) for item in value))


def _item(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else None


def _at(content: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            content = _item(content, step) if isinstance(content, list) else None
        else:
            content = content.get(step) if isinstance(content, Mapping) else None
    return content


_MEANINGS: tuple[tuple[tuple[str, ...], Meaning], ...] = (
    (("spec", "evaluate", "gate"), Meaning.GATE),
    (("spec", "deploy"), Meaning.DEPLOY),
    (("spec", "suspend"), Meaning.SUSPEND),
)


def _meaning(path: Path) -> Meaning:
    return next((meaning for part, meaning in _MEANINGS if path[: len(part)] == part), Meaning.LATER)
