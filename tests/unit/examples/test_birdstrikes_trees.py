"""The bird strikes by boosted trees, beside scikit-learn's on the very same rows: the figures of its README."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from runwright_api.loading import load_file
from runwright_components.collect import collect
from runwright_components.contract.progress import silent
from runwright_components.evaluate import evaluate
from runwright_components.features import Split, load_split
from runwright_components.package import package
from runwright_components.prepare import prepare
from runwright_components.train import train
from runwright_components.train.boosting.table import as_matrix
from runwright_pipelines.lowering import lower

EXAMPLE = Path(__file__).parents[3] / "examples" / "birdstrikes"


@pytest.mark.slow
def test_it_passes_its_gate_and_beats_histogram_boosting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stages = lower(load_file(EXAMPLE / "lightgbm.yaml"))
    folders = {name: tmp_path / name for name in ("raw", "prepared", "model", "evaluation", "package")}
    collect(stages.collect.model_copy(update={"base": str(EXAMPLE)}), out=folders["raw"], progress=silent())
    prepare(stages.prepare, raw=folders["raw"], out=folders["prepared"], progress=silent())
    given = {"model": folders["model"], "prepared": folders["prepared"], "progress": silent()}
    train(
        stages.train, prepared=folders["prepared"], out=folders["model"], checkpoints=tmp_path / "checkpoints",
        resume=False, progress=silent(),
    )  # fmt: skip
    judged = evaluate(stages.evaluate, out=folders["evaluation"], **given)  # type: ignore[arg-type]
    assert judged.verdict == "passed"
    found = package(stages.package, evaluation=folders["evaluation"], out=folders["package"], **given)  # type: ignore[arg-type]
    assert found.parity is not None
    assert found.parity < 1e-5
    assert "booster.txt" in found.files

    training, test = (load_split(folders["prepared"], name) for name in ("train", "test"))
    numbers = training.inputs["numeric"].shape[1]
    codes = list(range(numbers, numbers + training.inputs["categorical"].shape[1]))
    rival = HistGradientBoostingClassifier(categorical_features=codes, random_state=0)
    rival.fit(as_matrix(training.inputs), training.target)
    loss, area = _figures(rival.predict_proba(as_matrix(test.inputs)), test)
    print(
        f"log loss {judged.metrics['logLoss']:.3f} and ROC AUC {judged.metrics['rocAuc']:.3f}; {loss:.3f}, {area:.3f}"
    )
    assert judged.metrics["logLoss"] < loss
    assert judged.metrics["rocAuc"] > area


def _figures(chances: np.ndarray, test: Split) -> tuple[float, float]:
    return log_loss(test.target, chances), roc_auc_score(test.target, chances[:, 1])
