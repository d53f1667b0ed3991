"""A model for each fold, trained and judged beside the one that is served; their figures are told, and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import Lineage, PreparedManifest, RawManifest, fold_folder
from runwright_components.contract.config import (
    EvaluateConfig,
    ModelConfig,
    ParameterConfig,
    PrepareConfig,
    SplitRules,
    TrainConfig,
    TuneConfig,
)
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.evaluation import EVALUATION, FOLDS, CrossValidation, Evaluation
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.contract.tuning import TUNING, Trial, Tuning
from runwright_components.evaluate import evaluate
from runwright_components.prepare import prepare
from runwright_components.report import report_page
from runwright_components.report.folds_view import folds_view
from runwright_components.steps.cross_validation import cross_validate, of_a_fold
from runwright_components.train import train

ROUNDS = ParameterConfig(key="rounds", path=("model", "trees", "rounds"), type="int", min=1, max=3)


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    trees = TreesConfig.of("lightgbm", "classification", rounds=3)
    return TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="lightgbm", trees=trees))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    random = np.random.default_rng(0)
    x = random.normal(size=240)
    frame = pl.DataFrame({"x": x, "won": np.where(x + random.normal(size=240) > 0, "yes", "no")})
    raw = folder / "raw"
    raw.mkdir()
    frame.write_parquet(raw / "rows.parquet")
    columns = {name: str(dtype) for name, dtype in frame.schema.items()}
    lineage = Lineage(stage="collect", config="", inputs={})
    RawManifest(
        digest="sha256:raw", rows=240, columns=columns, sources=(), files=("rows.parquet",), lineage=lineage
    ).write(raw)
    split = SplitRules(strategy="stratified", folds=2)
    asked = PrepareConfig(modality="tabular", task="classification", target="won", split=split)
    prepare(asked, raw=raw, out=folder / "prepared", progress=silent())
    return folder / "prepared"


@pytest.fixture(scope="module")
def model(prepared: Path, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    out = folder / "model"
    train(config, prepared=prepared, out=out, checkpoints=folder / "checkpoints", resume=False, progress=silent())
    return out


def test_each_fold_is_judged_and_the_evaluation_tells_the_figures(
    prepared: Path, model: Path, config: TrainConfig, tmp_path: Path
) -> None:
    heard: list[Event] = []
    found = cross_validate(config, prepared=prepared, model=model, progress=Progress("train", sink=heard.append))
    assert found == CrossValidation.read(model, FOLDS)
    assert found is not None
    rows = [PreparedManifest.read(fold_folder(prepared, number)).rows["test"] for number in range(2)]
    assert (list(found.rows), found.nested) == (rows, False)
    assert 0.6 < min(found.metrics["accuracy"]) <= max(found.metrics["accuracy"]) < 1
    assert [event.message for event in heard if event.kind == "note"][-1].startswith("2 folds: accuracy 0.")
    asked = EvaluateConfig(task="classification", latency_requests=1)
    judged = evaluate(asked, model=model, prepared=prepared, out=tmp_path / "evaluation", progress=silent())
    one, other = found.metrics["accuracy"]
    assert judged.metrics["cv.accuracy_mean"] == pytest.approx((one + other) / 2)
    assert judged.metrics["cv.accuracy_std"] == pytest.approx(abs(one - other) / 2**0.5)
    assert Evaluation.read(tmp_path / "evaluation", EVALUATION).cross_validation == found
    page = report_page(run_name="r", prepared=prepared, model=model, evaluation=tmp_path / "evaluation")
    assert "Cross-validation" in page
    assert folds_view(found).mean[0] in page


def test_without_folds_nothing_is_done(prepared: Path, config: TrainConfig, tmp_path: Path) -> None:
    assert cross_validate(config, prepared=fold_folder(prepared, 0), model=tmp_path, progress=silent()) is None
    assert not list(tmp_path.iterdir())


def test_after_a_search_the_folds_get_the_values_of_the_best_trial_or_a_search_of_their_own(
    prepared: Path, config: TrainConfig, tmp_path: Path
) -> None:
    tuned = config.model_copy(update={"tune": TuneConfig(parameters=(ROUNDS,), trials=1), "processes": 2})
    best = Trial(number=0, state="complete", values={"rounds": 1}, value=0.5)
    Tuning(metric="loss", direction="minimize", algorithm="tpe", pruning="none", best=0, trials=(best,), axes=()).write(
        tmp_path, TUNING
    )
    found = of_a_fold(tuned, prepared=prepared, model=tmp_path)
    assert found.model.trees is not None
    assert (found.tune, found.model.trees.rounds, found.processes) == (None, 1, 1)
    nested = of_a_fold(tuned.model_copy(update={"nested": True}), prepared=prepared, model=tmp_path)
    assert (nested.tune, nested.processes) == (tuned.tune, 1)


def test_nested_folds_are_told_as_such() -> None:
    found = CrossValidation(nested=True, rows=(10, 12), metrics={"rmse": (1.0, 3.0)})
    assert found.figures == {"cv.rmse_mean": 2.0, "cv.rmse_std": pytest.approx(2**0.5)}
    assert "each searched for its own values" in folds_view(found).note
