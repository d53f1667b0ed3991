"""How good are the examples' models beside scikit-learn on the same rows?

Each example is run with `runwright run` (an earlier result in --workspaces is taken as it is), then scikit-learn's
baselines learn from the very training split that the run prepared and are judged on the very test split:

    python tests/bench/bench_quality.py                       # all examples
    python tests/bench/bench_quality.py digits penguins --workspaces build/quality

Prints JSON, an entry an example: for each metric (accuracy, of two classes also ROC AUC, which uneven classes need; or
R2) ours, each baseline's, and the difference to the best baseline in points (times 100; negative: the baseline is
better). The baselines see the training split alone, like the
model; the best one is chosen by its test score, which is kind to the baselines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from runwright_components.contract.artifacts import ROW_ID, PreparedManifest, RawManifest
from runwright_components.contract.evaluation import EVALUATION, Evaluation
from runwright_components.features import Split, load_split
from runwright_pipelines.workspace import Workspace

ROOT = Path(__file__).parents[2]
MOST_CATEGORIES = 255  # of scikit-learn's gradient boosting
Scores = Iterator[tuple[str, Any, Any, Any]]  # name, estimator, training inputs, test inputs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", nargs="*", help="names of folders in examples/ (default: all)")
    parser.add_argument("--workspaces", type=Path, help="folder for the runs' workspaces (default: a temporary one)")
    options = parser.parse_args()
    names = options.examples or sorted(path.parent.name for path in (ROOT / "examples").glob("*/run.yaml"))
    with tempfile.TemporaryDirectory() as temporary:
        workspaces = options.workspaces or Path(temporary)
        results = {name: compare(name, workspaces / name) for name in names}
    print(json.dumps(results, indent=2))
    return 0


def compare(name: str, folder: Path) -> dict[str, Any]:
    workspace = Workspace(folder)
    seconds = None
    if workspace.artifact("evaluation") is None:
        start = time.perf_counter()
        command = [sys.executable, "-m", "runwright_cli", "run", f"examples/{name}/run.yaml", "--workspace", folder]
        run = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        seconds = round(time.perf_counter() - start, 1)
        if run.returncode not in (0, 2):
            return {"error": f"runwright run ended with exit code {run.returncode}"}
    evaluation, prepared, raw = (workspace.artifact(part) for part in ("evaluation", "prepared_data", "raw_data"))
    assert evaluation is not None
    assert prepared is not None
    assert raw is not None
    judged = Evaluation.read(evaluation, EVALUATION)
    baselines = judge(prepared, raw)
    return {
        **{metric: beside(metric, judged.metrics[metric], baselines) for metric in next(iter(baselines.values()))},
        "test_rows": judged.rows,
        "run_seconds": seconds,
    }


def beside(metric: str, ours: float, baselines: dict[str, dict[str, float]]) -> dict[str, Any]:
    scores = {name: found[metric] for name, found in baselines.items()}
    best = max(scores, key=lambda name: scores[name])
    return {
        "ours": round(ours, 4),
        "best_baseline": best,
        "difference_points": round(100 * (ours - scores[best]), 2),
        "baselines": {name: round(score, 4) for name, score in scores.items()},
    }


def judge(prepared: Path, raw: Path) -> dict[str, dict[str, float]]:
    """Each baseline's metrics by their names in the gate. R2 of the standardized target is that of the target."""
    manifest = PreparedManifest.read(prepared)
    train, test = load_split(prepared, "train"), load_split(prepared, "test")
    estimators = {"tabular": tables, "text": texts, "image": images}[manifest.modality]
    scores = {}
    for name, estimator, known, unknown in estimators(manifest, prepared, raw, train, test):
        estimator.fit(known, train.target)
        score = float(estimator.score(unknown, test.target))
        scores[name] = {"accuracy" if manifest.task == "classification" else "r2": score}
        if len(manifest.signature.labels) == 2:
            scores[name]["rocAuc"] = float(roc_auc_score(test.target, estimator.predict_proba(unknown)[:, 1]))
    return scores


def tables(manifest: PreparedManifest, _prepared: Path, _raw: Path, train: Split, test: Split) -> Scores:
    """On the inputs that the model gets: imputed and scaled numbers, and codes of categories."""
    numeric = train.inputs["numeric"].shape[1] if "numeric" in train.inputs else 0
    codes = list(range(numeric, numeric + len(manifest.categories)))
    known, unknown = (
        np.hstack([part.inputs[name].astype(np.float64) for name in ("numeric", "categorical") if name in part.inputs])
        for part in (train, test)
    )
    classification = manifest.task == "classification"
    boosting = HistGradientBoostingClassifier if classification else HistGradientBoostingRegressor
    few = [code for code, size in zip(codes, manifest.categories, strict=True) if size <= MOST_CATEGORIES]
    yield "gradient boosting", boosting(categorical_features=few or None, random_state=0), known, unknown
    linear = LogisticRegression(max_iter=2000) if classification else Ridge()
    columns = make_column_transformer(
        (StandardScaler(), list(range(numeric))), (OneHotEncoder(handle_unknown="ignore"), codes)
    )
    yield "logistic regression" if classification else "ridge", make_pipeline(columns, linear), known, unknown


def texts(manifest: PreparedManifest, prepared: Path, raw: Path, train: Split, test: Split) -> Scores:
    """TF-IDF of the raw texts: words and pairs of them, or letters."""
    column = manifest.signature.inputs[0].name
    files = [raw / name for name in RawManifest.read(raw).files]
    texts = pl.scan_parquet(files, row_index_name=ROW_ID).select(column).collect()[column].fill_null("")
    known, unknown = (texts.gather(part.row_id).to_list() for part in (train, test))
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    classification = manifest.task == "classification"
    linear = LogisticRegression(C=10, max_iter=2000) if classification else Ridge(alpha=1.0)
    title = "logistic regression" if classification else "ridge"
    for name, vectors in (("words", words), ("letters", letters)):
        yield f"{title} on {name}", make_pipeline(vectors, linear), known, unknown


def images(_manifest: PreparedManifest, prepared: Path, _raw: Path, train: Split, test: Split) -> Scores:
    known, unknown = (part.inputs["pixels"].reshape(len(part), -1) / 255.0 for part in (train, test))
    yield "logistic regression", LogisticRegression(max_iter=2000), known, unknown
    yield "gradient boosting", HistGradientBoostingClassifier(random_state=0), known, unknown
    yield "support vectors", SVC(C=10), known, unknown


if __name__ == "__main__":
    sys.exit(main())
