"""Specs for a leaf: one without it, two that give it different values, one that gives it a wrong one.

What a value needs beside it (the class of model that `heads` belongs to, say) stands in small tables.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from runwright_api.names import API_VERSION, KIND
from runwright_api.trainingrun import TrainingRun
from runwright_operator.reading import read_run
from tests.cluster.operator.runs import merged
from tests.spec import beside_data
from tests.spec.leaves import ITEM, KEY, VALUE, Leaf, Path, Schema, candidates, leaves, minimal, spec_schema, wrong

Spec = dict[str, Any]

BASE: Spec = {
    "data": {"sources": [{"http": {"url": "https://data.example.com/penguins.csv"}}]},
    "prepare": {"target": "species"},
    "train": {"task": "tabular-classification"},
    "evaluate": {"gate": [{"metric": "accuracy", "min": 0.5}]},
}
_TEXT = {"task": "text-classification"}
_TUNE: Spec = {"searchSpace": [{"name": "batchSize", "type": "int", "min": 1.0, "max": 64.0}]}
_CHOICE: Spec = {"searchSpace": [{"name": "optimizer", "type": "choice", "choices": ["sgd", "adamw"]}]}


def _when(**condition: str) -> Spec:
    return {
        "searchSpace": [
            {"name": "momentum", "type": "float", "min": 0.1, "max": 0.9, "when": condition},
            {"name": "optimizer", "type": "choice", "choices": ["sgd", "adamw"]},
            {"name": "schedule", "type": "choice", "choices": ["linear", "cosine"]},
        ]
    }


_LANGUAGE: Spec = {"train": {"task": "text-generation"}, "evaluate": None}


def _alone(kind: str, model: str) -> Spec:
    return {"train": {"task": f"tabular-{kind}", "model": {"name": model}}, "evaluate": None}


_CONTROL: Spec = {
    "data": None,
    "prepare": None,
    "train": {"task": "environment-control", "environment": {"id": "CartPole-v1"}},
    "evaluate": None,
}
_HOUSE: Spec = {
    **_CONTROL,
    "train": {"task": "environment-control", "environment": {"file": "s3://acme/house.py", "class": "House"}},
}
_FORECASTS: Spec = {
    "prepare": {"series": {"time": "day", "horizon": 4, "context": 8, "season": 2}},
    "train": {"task": "series-forecasting"},
    "evaluate": None,
}
_CODE: Spec = {"code": {"path": "train.py"}}
_IMAGE = {"train": {"task": "image-classification"}}

# What stands beside a leaf, by the beginning of its path.
_BESIDE: Mapping[str, Spec] = {
    **beside_data.BESIDE,
    "spec.prepare.columns[].fill": {"prepare": {"columns": [{"name": "alpha", "missing": "constant"}]}},
    "spec.prepare.split.by": {"prepare": {"split": {"strategy": "group"}}},
    "spec.prepare.split.nested": {
        "prepare": {"split": {"folds": 3}},
        "tune": {"searchSpace": [{"name": "epochs", "type": "choice", "choices": [1, 2]}]},
    },
    "spec.prepare.text": {"train": _TEXT},
    "spec.prepare.text.prompt": {**_LANGUAGE, "prepare": {"text": {"response": "answer"}}},
    "spec.prepare.text.response": {**_LANGUAGE, "prepare": {"text": {"prompt": "question"}}},
    "spec.prepare.text.messages": _LANGUAGE,
    "spec.prepare.series": _FORECASTS,
    "spec.prepare.image": _IMAGE,
    "spec.train.task": {"evaluate": None},
    "spec.train.model.name": {"train": _TEXT},
    "spec.train.model.heads": {"train": {**_TEXT, "model": {"name": "transformer"}}},
    "spec.train.model.keyValueHeads": {**_LANGUAGE, "train": {"task": "text-generation", "model": {"heads": 8}}},
    "spec.train.model.lora": {
        **_LANGUAGE,
        "train": {"task": "text-generation", "model": {"name": "pretrained", "pretrained": "s3://models/llama"}},
    },
    "spec.train.model.trees": {"train": {"model": {"name": "xgboost"}}},
    "spec.train.model.trees.leaves": {"train": {"model": {"name": "lightgbm"}}},
    "spec.train.model.trees.minChildRows": {"train": {"model": {"name": "lightgbm"}}},
    "spec.train.model.unsupervised.dimension": _alone("embedding", "autoencoder"),
    "spec.train.model.unsupervised.contamination": _alone("anomaly", "isolationforest"),
    "spec.train.model.unsupervised.clusters": _alone("clustering", "kmeans"),
    "spec.train.model.unsupervised.mostClusters": _alone("clustering", "kmeans"),
    "spec.train.model.unsupervised.trees": _alone("anomaly", "isolationforest"),
    "spec.train.model.unsupervised.rows": _alone("anomaly", "isolationforest"),
    "spec.train.model.pretrained": {"train": {**_TEXT, "model": {"name": "pretrained"}}},
    "spec.train.model.freeze": {"train": {**_TEXT, "model": {"name": "pretrained", "pretrained": "encoder"}}},
    "spec.train.model.unfreeze": {
        "train": {**_TEXT, "model": {"name": "pretrained", "pretrained": "encoder", "freeze": True}}
    },
    "spec.train.layerDecay": {"train": {**_TEXT, "model": {"name": "pretrained", "pretrained": "encoder"}}},
    "spec.train.image": {"train": _CODE},
    "spec.train.code": {"train": _CODE},
    "spec.train.code.path": {"train": {"code": {"entrypoint": "train"}}},
    "spec.train.code.entrypoint": {"train": {"code": {"path": "src"}}},
    "spec.train.code.command": {"train": {"code": {"path": None}, "image": "acme/train:1"}},
    "spec.train.distributed.tensorParallel": _LANGUAGE,
    "spec.train.augment": _IMAGE,
    "spec.train.augment.tokenDropout": {"train": _TEXT},
    "spec.train.scheduling.tolerations[]": {"train": {"scheduling": {"tolerations": [{"key": "gpu"}]}}},
    "spec.train.reinforcement": _CONTROL,
    "spec.train.environment": _HOUSE,
    "spec.train.environment.id": {"train": {"environment": {"file": None, "class": None}}},
    "spec.evaluate.episodes": _CONTROL,
    "spec.tune.storage": {"tune": {**_TUNE, "backend": "jobs"}},
    "spec.tune": {"tune": _TUNE},
    "spec.tune.searchSpace[].choices": {"tune": _CHOICE},
    "spec.tune.searchSpace[].when": {"tune": _when(name="optimizer")},
    "spec.evaluate.gate[].slice": {"evaluate": {"slices": ["island"]}},
}
# Values that no schema tells, each with what changes beside it.
_VALUES: Mapping[str, tuple[tuple[Any, Spec], ...]] = {
    **beside_data.VALUES,
    "spec.data.sources[].path": (("s3://bucket/a.csv", {}), ("s3://bucket/b.csv", {})),
    "spec.train.environment.file": (("s3://acme/flat.py", {}), ("s3://acme/hut.py", {})),
    "spec.train.environment.files[]": ((["s3://acme/a.csv"], {}), (["s3://acme/b.csv"], {})),
    "spec.storage.uri": (("s3://bucket/a", {}), ("s3://bucket/b", {})),
    "spec.package.formats[]": ((["onnx"], {}), (["onnx", "safetensors"], {})),
    "spec.prepare.split.strategy": (("random", {}), ("time", {"prepare": {"split": {"by": "year"}}})),
    "spec.evaluate.gate[].min": ((0.75, {}), (0.99, {})),
    "spec.tune.searchSpace[].name": (("learningRate", {}), ("weightDecay", {})),
    "spec.tune.searchSpace[].type": (
        ("float", {"tune": {"searchSpace": [{"name": "learningRate", "min": 0.1, "max": 1.0}]}}),
        ("choice", {"tune": {"searchSpace": [{"name": "epochs", "choices": [1, 2]}]}}),
    ),
    "spec.tune.searchSpace[].min": ((2.0, {}), (4.0, {})),
    "spec.tune.searchSpace[].max": ((32.0, {}), (48.0, {})),
    "spec.tune.searchSpace[].choices[]": ((["sgd", "adam"], {}), (["adamw", "adam"], {})),
    "spec.tune.searchSpace[].when.name": (
        ("optimizer", {"tune": _when(equals="sgd")}),
        ("schedule", {"tune": _when(equals="cosine")}),
    ),
    "spec.tune.searchSpace[].when.equals": (("sgd", {}), ("adamw", {})),
    "spec.tune.searchSpace[].when.in[]": ((["sgd"], {}), (["adamw"], {})),
    "spec.tune.automl": (
        (True, {"tune": {"searchSpace": None, "budget": {"time": "10m"}}}),
        (False, {}),
    ),
    "spec.tune.objective.direction": (
        ("maximize", {"tune": {"objective": {"metric": "accuracy"}}}),
        ("minimize", {"tune": {"objective": {"metric": "logLoss"}}}),
    ),
    **{
        f"spec.prepare.split.{share}": tuple(
            (
                large,
                {
                    "prepare": {
                        "split": {one: (1 - large) / 2 for one in ("train", "validation", "test") if one != share}
                    }
                },
            )
            for large in (0.5, 0.8)
        )
        for share in ("train", "validation", "test")
    },
}


@dataclass(frozen=True)
class Documents:
    """Specs that differ in one leaf."""

    leaf: Leaf
    without: Spec
    one: Spec
    other: Spec
    wrong: Spec


def documents() -> Iterator[Documents]:
    """Those of every leaf. Raises LookupError for a leaf for which the tables have to say more."""
    for leaf in leaves():
        host = _host(leaf)
        without = host if accepted(host) else copy.deepcopy(BASE)
        found = list(islice((spec for spec in _tried(leaf, host) if spec != without and is_shaped(spec)), 2))
        if len(found) < 2:
            raise LookupError(f"{leaf}: no two values are valid; tell in tests/spec/documents.py what it needs")
        yield Documents(leaf, without, found[0], found[1], put(found[0], leaf.path, wrong(leaf.schema)))


def manifest(spec: Spec, name: str = "churn") -> dict[str, Any]:
    """The TrainingRun of a spec."""
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def is_shaped(spec: Spec) -> bool:
    """Whether the API has a meaning for the spec, be it available yet or not."""
    try:
        TrainingRun.model_validate(manifest(spec), by_alias=True, by_name=False)
    except ValidationError:
        return False
    return True


def accepted(spec: Spec) -> bool:
    """Whether the operator goes by the spec."""
    return read_run(manifest(spec))[0] is not None


def put(spec: Spec, path: Path, value: Any) -> Spec:
    """A copy with the value in its place; parts on the way are made as small as they may be. The last name may be one
    that no schema has."""
    changed = copy.deepcopy(spec)
    _put(changed, path, value, spec_schema())
    return changed


def with_text(leaf: Leaf, text: str) -> Spec:
    """A spec that gives the leaf this text, whether it is valid or not."""
    return put(_host(leaf), leaf.path, text)


def _host(leaf: Leaf) -> Spec:
    host = BASE
    for prefix, changes in _BESIDE.items():
        if str(leaf).startswith(prefix):
            host = merged(host, changes)
    return copy.deepcopy(host)


def _tried(leaf: Leaf, host: Spec) -> Iterator[Spec]:
    pairs = _VALUES.get(str(leaf)) or tuple((value, {}) for value in candidates(leaf.schema))
    for value, changes in pairs:
        yield put(merged(host, changes), leaf.path, value)


def _put(place: Any, path: Path, value: Any, schema: Schema) -> None:
    part, rest = path[0], path[1:]
    fields = schema.get("properties", {})
    inner = schema["items"] if part == ITEM else fields.get(part, schema.get("additionalProperties", {}))
    if part == ITEM and not rest and isinstance(value, list):
        place[:] = value
        return
    key: Any = 0 if part == ITEM else KEY if part == VALUE else part
    if part == ITEM and not place:
        place.append(minimal(inner))
    if not rest:
        place[key] = value
        return
    if part != ITEM and key not in place:
        place[key] = minimal(inner)
    _put(place[key], rest, value, inner)
