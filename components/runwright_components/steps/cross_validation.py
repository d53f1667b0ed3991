"""The models of a cross-validation: trained one after the other in this process's pod, judged, and let go.

Each learns from prepared data that were fitted without its fold, and is judged as the served model is: by its ONNX
graph, over the fold's raw rows. What becomes of them is a file beside the model; the model itself is another one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from runwright_components.contract.artifacts import PreparedManifest, fold_folder
from runwright_components.contract.config import EvaluateConfig, TrainConfig
from runwright_components.contract.evaluation import FOLDS, CrossValidation, Evaluation
from runwright_components.contract.kinds import KINDS
from runwright_components.contract.progress import Event, Progress
from runwright_components.contract.tuning import tuning_of

_REQUESTS = 1  # nobody asks how fast the model of a fold is


def cross_validate(config: TrainConfig, *, prepared: Path, model: Path, progress: Progress) -> CrossValidation | None:
    """Train and judge a model for each fold of the prepared data, and write `folds.json` beside the model in `model`.

    Unless the configuration is `nested`, a TrainingRun that tunes gives each the values of its best trial. None
    without folds. Raises what training and evaluation raise.
    """
    count = PreparedManifest.read(prepared).folds
    if not count:
        return None
    chosen = of_a_fold(config, prepared=prepared, model=model)
    judged = [_judge(chosen, fold_folder(prepared, number), number, count, progress) for number in range(count)]
    names = [name for name in KINDS[config.task].main if all(name in one.metrics for one in judged)]
    found = CrossValidation(
        nested=chosen.tune is not None,
        rows=tuple(one.rows for one in judged),
        metrics={name: tuple(one.metrics[name] for one in judged) for name in names},
    )
    found.write(model, FOLDS)
    progress.note(f"{count} folds: {_in_words(found.figures, KINDS[config.task].shown[0])}")
    return found


def of_a_fold(config: TrainConfig, *, prepared: Path, model: Path) -> TrainConfig:
    """How the model of a fold is trained: in this one process, by a search of its own where it is nested, else with the
    values of the trial whose model is in `model`, where there was a search."""
    alone = config.model_copy(update={"processes": 1, "max_restarts": 0})
    found = tuning_of(model)
    if config.tune is None or config.nested or found is None:
        return alone
    from runwright_components.train.tuning.assignment import assign
    from runwright_components.train.tuning.search import Plan

    return assign(alone, Plan.of(alone, prepared).space, found.winner.values)


def _judge(config: TrainConfig, prepared: Path, number: int, count: int, progress: Progress) -> Evaluation:
    from runwright_components.evaluate import evaluate
    from runwright_components.train import train

    name = f"fold {number + 1} of {count}"
    progress.note(f"{name} trains")

    def heard(event: Event) -> None:
        if event.kind == "progress" and event.done is not None:
            progress.update(event.done, event.total, unit=event.unit, message=f"{name}: {event.message}")

    told = Progress(progress.stage, sink=heard)
    with tempfile.TemporaryDirectory(prefix="runwright-") as folder:
        place = Path(folder)
        out = place / "model"
        train(config, prepared=prepared, out=out, checkpoints=place / "checkpoints", resume=False, progress=told)
        wanted = EvaluateConfig(task=config.task, latency_requests=_REQUESTS)
        return evaluate(wanted, model=out, prepared=prepared, out=place / "evaluation", progress=told)


def _in_words(figures: Mapping[str, float], name: str) -> str:
    return f"{name} {figures[f'cv.{name}_mean']:.4f} ± {figures[f'cv.{name}_std']:.4f}"
