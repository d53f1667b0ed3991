"""What the API has a shape for and this version does not do yet. A later version deletes the line.

Nothing that does nothing is accepted in silence: `refusals` finds each use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runwright_api.part import Path

NOT_YET = "is not available yet in this version"


@dataclass(frozen=True)
class Refusal:
    """A field, or one value of a field, that is refused. `[]` in the path stands for every item of a list."""

    path: str
    instead: str
    value: str | None = None


_EXPORT = "export the query's result to Parquet and give its path or address"

REFUSALS: tuple[Refusal, ...] = (
    Refusal("spec.data.sources[].sql.dialect", _EXPORT, "mssql"),
    Refusal("spec.data.sources[].sql.dialect", _EXPORT, "snowflake"),
    Refusal("spec.data.sources[].sql.dialect", _EXPORT, "bigquery"),
    Refusal("spec.evaluate.gate[].minGain", "use the absolute bounds `min` and `max`"),
    Refusal("spec.evaluate.fairness", "name the columns in evaluate.slices and compare their metrics"),
    Refusal("spec.evaluate.explanations", "remove it"),
    Refusal("spec.package.quantized", "remove it; the package holds full precision"),
    Refusal("spec.register.mlflow", "use register.uri"),
    Refusal("spec.register.modelRegistry", "use register.uri"),
    Refusal("spec.register.huggingFaceHub", "use register.uri"),
    Refusal("spec.deploy.scaling", "remove it; one pod serves"),
    Refusal("spec.deploy.rollout", "remove it; a new model takes over at once"),
    Refusal("spec.monitor", "remove it"),
    Refusal("spec.retrain", "run it again by hand or from a scheduler"),
)


def refusals(run: Any) -> Iterator[tuple[Path, str, str]]:
    """Every use of something that is not there yet: its path, what is wrong, and what to use instead.

    `run` is a TrainingRun as plain mappings and lists, camelCase keys, valid or not.
    """
    for refusal in REFUSALS:
        for path, value in _find(run, tuple(refusal.path.replace("[]", ".[]").split(".")), ()):
            if value is None or (refusal.value is not None and value != refusal.value):
                continue
            what = path[-1] if refusal.value is None else f"{path[-1]}: {refusal.value}"
            yield path, f"{what} {NOT_YET}", refusal.instead


def _find(value: Any, parts: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    if not parts:
        yield path, value
    elif parts[0] == "[]":
        if isinstance(value, Sequence) and not isinstance(value, str):
            for index, item in enumerate(value):
                yield from _find(item, parts[1:], (*path, index))
    elif isinstance(value, Mapping) and parts[0] in value:
        yield from _find(value[parts[0]], parts[1:], (*path, parts[0]))
