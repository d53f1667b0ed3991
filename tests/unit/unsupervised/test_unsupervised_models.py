"""What is trained without a target is what is served, judged by a label that it never saw."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture

from runwright_components.contract.config import PackageConfig, TaskKind
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.features import load_split
from runwright_components.models import Shape, load_model
from runwright_components.models.unsupervised import Scoring, served
from runwright_components.package import package
from runwright_components.report import report_page
from runwright_components.serve import protocol
from runwright_components.serve.predictor import Predictor
from runwright_components.train.fitted.fits import FITS
from tests.unit.unsupervised.conftest import Made, make, prepare_table, table, target_of, train_config

Make = Callable[[str, TaskKind], Made]

EVERY: list[tuple[str, TaskKind]] = [
    ("autoencoder", "anomaly"),
    ("isolationforest", "anomaly"),
    ("kmeans", "clustering"),
    ("autoencoder", "embedding"),
]


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_the_package_answers_what_the_weights_say(made: Make, name: str, task: TaskKind, tmp_path: Path) -> None:
    found = made(name, task)
    folder = tmp_path / "package"
    manifest = package(
        PackageConfig(name="rows"),
        model=found.model,
        evaluation=found.evaluation,
        prepared=found.prepared,
        out=folder,
        progress=silent(),
    )
    assert manifest.parity is not None
    assert manifest.parity < 1e-4
    assert not list(folder.rglob("*.pkl"))
    card = (folder / "MODEL_CARD.md").read_text()
    assert ("which it never saw" in card) == (name != "kmeans")
    assert "| nan |" not in card
    predictor = Predictor(folder)
    (answer,) = protocol.predictions(predictor.signature, predictor.predict_rows([predictor.signature.example]))
    names = {"anomaly": ["score", "anomaly"], "clustering": ["cluster", "distances"], "embedding": ["embedding"]}[task]
    assert list(answer) == names
    both = predictor.predict_rows([predictor.signature.example] * 2)
    tensors = protocol.tensors(predictor.signature, both, names)
    described = protocol.output_metadata(predictor.signature)
    assert [(one["name"], one["datatype"], len(one["shape"])) for one in tensors] == [
        (one["name"], one["datatype"], len(one["shape"])) for one in described
    ]
    assert json.dumps(tensors)


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_the_report_draws_the_test_rows(made: Make, name: str, task: TaskKind) -> None:
    found = made(name, task)
    page = report_page(run_name="rows", prepared=found.prepared, model=found.model, evaluation=found.evaluation)
    assert {"anomaly": "Anomaly scores", "clustering": "Clusters", "embedding": "Embedding"}[task] in page
    assert ">nan<" not in page


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_the_label_is_no_input(made: Make, name: str, task: TaskKind) -> None:
    found = made(name, task)
    target = target_of(name, task)
    signature = found.manifest.signature
    assert [field.name for field in signature.inputs] == ["first", "second", "third", "colour"]
    assert signature.target == target
    assert signature.ignored == ((target,) if target else ())
    columns = pl.scan_parquet(found.prepared / "train.parquet").collect_schema().names()
    assert columns == ["row_id", "n:first", "n:second", "n:third", "c:colour", "target"]


def test_other_labels_prepare_the_same_inputs(tmp_path: Path) -> None:
    inputs = []
    for number, labels in enumerate((pl.col("kind"), pl.col("kind").shuffle(seed=1))):
        home = tmp_path / str(number)
        home.mkdir()
        prepared = prepare_table(table().with_columns(labels), home, "clustering", "kind")
        inputs.append(pl.read_parquet(prepared / "train.parquet").drop("target"))
    assert inputs[0].equals(inputs[1])


@pytest.mark.parametrize("name", ["autoencoder", "isolationforest"])
def test_the_threshold_leaves_contamination_above_it(made: Make, name: str) -> None:
    found = made(name, "anomaly")
    module = load_model(found.model)
    inputs = {key: torch.from_numpy(values) for key, values in load_split(found.prepared, "train").inputs.items()}
    with torch.inference_mode():
        scores = served(module)(**inputs).numpy()
    assert (scores > 0.5).mean() == pytest.approx(0.06, abs=1.5 / len(scores))
    assert scores.min() >= 0
    assert scores.max() < 1


@pytest.mark.parametrize("name", ["autoencoder", "isolationforest"])
def test_anomalies_are_ranked_above_the_rest(made: Make, name: str) -> None:
    metrics = made(name, "anomaly").judged.metrics
    assert metrics["rocAuc"] > 0.9
    assert set(metrics) >= {"averagePrecision", "precision", "recall", "f1", "anomalyShare", "baselineRocAuc"}


def test_the_forest_is_that_of_scikit_learn(made: Make) -> None:
    found = made("isolationforest", "anomaly")
    module = load_model(found.model)
    assert isinstance(module, Scoring)
    inputs = {key: torch.from_numpy(values) for key, values in load_split(found.prepared, "train").inputs.items()}
    rows = module.dense(**inputs).numpy()
    reference = IsolationForest(n_estimators=25, max_samples=64, random_state=0).fit(rows)
    with torch.inference_mode():
        ours = module.error(**inputs).numpy()
    np.testing.assert_allclose(ours, -reference.score_samples(rows), rtol=1e-6)


def blobs() -> NDArray[np.float32]:
    """Three groups of 40 points each, float32 [120, 2]."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(centre, 0.2, (40, 2)) for centre in (0.0, 4.0, 9.0)]).astype(np.float32)


PLANE = Shape(task="clustering", modality="tabular", classes=1, numeric=2)


def test_the_mixture_is_that_of_scikit_learn() -> None:
    rows = blobs()
    model = train_config("gaussianmixture", "clustering", clusters=3).model
    module, _ = FITS["gaussianmixture"](model, PLANE, rows, 0, lambda *_: None)
    reference = GaussianMixture(n_components=3, n_init=3, reg_covar=1e-4, random_state=0).fit(rows.astype(np.float64))
    with torch.inference_mode():
        distances = served(module)(numeric=torch.from_numpy(rows)).numpy()
        densities = -module(numeric=torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(np.exp(-distances.astype(np.float64)), reference.predict_proba(rows), atol=1e-5)
    np.testing.assert_allclose(densities, reference.score_samples(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["kmeans", "gaussianmixture"])
def test_the_number_of_clusters_is_found(name: str) -> None:
    model = train_config(name, "clustering", most_clusters=5).model
    _, resolved = FITS[name](model, PLANE, blobs(), 0, lambda *_: None)
    assert resolved.unsupervised is not None
    assert resolved.unsupervised.clusters == 3


def test_an_embedding_is_judged_beside_components_of_its_size(made: Make) -> None:
    found = made("autoencoder", "embedding")
    metrics = found.judged.metrics
    assert set(metrics) >= {
        "neighbourAccuracy",
        "baselineNeighbourAccuracy",
        "trustworthiness",
        "baselineTrustworthiness",
    }
    written = pl.read_parquet(found.evaluation / "predictions.parquet")
    assert written.columns == ["row_id", "truth", "embedding"]
    assert written["embedding"].list.len().unique().to_list() == [2]


def test_without_a_label_the_clusters_judge_themselves(made: Make) -> None:
    found = made("kmeans", "clustering")
    metrics = found.judged.metrics
    assert "adjustedRand" not in metrics
    assert metrics["silhouette"] > metrics["baselineSilhouette"]
    assert "truth" not in pl.read_parquet(found.evaluation / "predictions.parquet").columns


def test_rows_without_a_label_are_learned_from(tmp_path: Path) -> None:
    frame = table().with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("kind")).alias("kind")
    )
    prepared = prepare_table(frame, tmp_path, "clustering", "kind")
    labels = load_split(prepared, "train").target
    assert len(labels) == round(0.7 * len(frame))
    assert 0.2 < (labels == -1).mean() < 0.5


def test_too_many_clusters_are_refused(tmp_path: Path) -> None:
    few = table(12)
    with pytest.raises(StageError) as error:
        make(few, tmp_path / "run", train_config("kmeans", "clustering", clusters=50), "")
    assert error.value.reason == Reason.DATA_INVALID
    assert "do not make 50 clusters" in error.value.message
    assert error.value.cure == "ask for fewer clusters"


def test_a_target_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no column 'first2'; did you mean 'first'"):
        prepare_table(table(), tmp_path, "clustering", "first2")
