"""What a search gives: its summary, and the best trial's model as that of the train stage."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from runwright_components.contract.artifacts import MANIFEST, ModelManifest
from runwright_components.contract.config import ParameterConfig, TrainConfig, TuneConfig
from runwright_components.contract.files import folder_files, new_folder
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.tuning import TUNING, Axis, Tuning
from runwright_components.train.tuning.space import Values, label
from runwright_components.train.tuning.study import Study

SHOWN_VALUES = 6  # in a note


def summarize(tune: TuneConfig, space: Sequence[ParameterConfig], study: Study, *, ended: str) -> Tuning:
    """Of a study with a complete trial; `ended` is the limit that ended it."""
    best = study.best()
    assert best is not None
    return Tuning(
        metric=tune.metric,
        direction=tune.direction,
        algorithm=tune.algorithm,
        pruning=tune.pruning,
        automl=tune.automl,
        best=best.number,
        trials=study.trials(),
        axes=tuple(_axis(one) for one in space),
        importance=study.importance(),
        ended=ended,
        seconds=round(study.spent.seconds, 3),
    )


def _axis(one: ParameterConfig) -> Axis:
    if one.type == "choice":
        return Axis(key=one.key, choices=one.choices)
    return Axis(key=one.key, log=one.log, min=one.min, max=one.max)


def hand_over(model: Path, out: Path, summary: Tuning, config: TrainConfig) -> ModelManifest:
    """The best trial's model as the stage's: the same files, what came of the search, and the stage's lineage.

    Raises StageError (CheckpointInvalid) when it is not there any more.
    """
    if not model.exists():
        raise StageError(
            Reason.CHECKPOINT_INVALID,
            f"the model of trial {summary.best}, the best one, is lost",
            where=str(model),
            cure="search anew: start without --resume",
        )
    with new_folder(out) as folder:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        summary.write(folder, TUNING)
        trained = ModelManifest.read(folder)
        manifest = trained.model_copy(
            update={
                "files": folder_files(folder, without=[MANIFEST]),
                "lineage": trained.lineage.model_copy(update={"config": config.digest()}),
            }
        )
        manifest.write(folder)
    return manifest


def shown(values: Values) -> str:
    """A trial's values in a few words."""
    parts = [f"{name} {short(value) if isinstance(value, float) else label(value)}" for name, value in values.items()]
    more = f", and {len(parts) - SHOWN_VALUES} more" if len(parts) > SHOWN_VALUES else ""
    return ", ".join(parts[:SHOWN_VALUES]) + more


def short(value: float | None) -> str:
    """A figure for a note."""
    return "none" if value is None else f"{value:.4g}"
