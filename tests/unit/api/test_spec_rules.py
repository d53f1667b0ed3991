"""Rules between fields: each broken in one way, and the same field used well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runwright_api import SpecError, load_object
from runwright_api.part import Part
from runwright_api.spec import DataSpec, PrepareSpec, Source, TrainingRunSpec, TrainSpec
from tests.unit.api.cleaning_cases import CLEANING_BROKEN, CLEANING_USED_WELL
from tests.unit.api.code_cases import CODE_BROKEN, CODE_USED_WELL
from tests.unit.api.engine_cases import ENGINES_BROKEN, ENGINES_USED_WELL
from tests.unit.api.expectation_cases import EXPECTATIONS_BROKEN, EXPECTATIONS_USED_WELL
from tests.unit.api.feature_cases import FEATURES_BROKEN, FEATURES_USED_WELL
from tests.unit.api.file_cases import FILES_BROKEN, FILES_USED_WELL
from tests.unit.api.language_cases import LANGUAGE_BROKEN
from tests.unit.api.reinforcement_cases import REINFORCEMENT_BROKEN, REINFORCEMENT_USED_WELL
from tests.unit.api.series_cases import SERIES_BROKEN, SERIES_USED_WELL
from tests.unit.api.tune_cases import OWN_WORDS, TUNE_BROKEN, TUNE_USED_WELL
from tests.unit.api.unsupervised_cases import UNSUPERVISED_BROKEN, UNSUPERVISED_USED_WELL

Make = Callable[..., dict[str, Any]]

IMAGE = {"spec.train.task": "image-classification", "spec.prepare": None}
TEXT = {"spec.train.task": "text-classification", "spec.prepare": None}
REGRESSION = {"spec.train.task": "tabular-regression"}

BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    # name, changes, path of the problem, words of the message
    ("no place", {"spec.data.sources.0": {"name": "x"}}, "spec.data.sources[0]", "exactly one of path, http, s3"),
    (
        "two places",
        {"spec.data.sources.0.http": {"url": "https://example.org/x.csv"}},
        "spec.data.sources[0].http",
        "exactly one of path, http, s3",
    ),
    (
        "source names",
        {"spec.data.sources": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]},
        "spec.data.sources[1].name",
        "unique",
    ),
    (
        "column names",
        {"spec.prepare.columns": [{"name": "a"}, {"name": "a", "type": "numeric"}]},
        "spec.prepare.columns[1].name",
        "unique",
    ),
    ("sum of shares", {"spec.prepare.split": {"train": 0.9}}, "spec.prepare.split.train", "sum to 1"),
    (
        "empty share",
        {"spec.prepare.split": {"train": 0.85, "test": 0.0}},
        "spec.prepare.split.test",
        "greater than 0",
    ),
    ("group without by", {"spec.prepare.split": {"strategy": "group"}}, "spec.prepare.split.by", "needs the column"),
    ("time without by", {"spec.prepare.split": {"strategy": "time"}}, "spec.prepare.split.by", "needs the column"),
    ("by without group", {"spec.prepare.split": {"by": "year"}}, "spec.prepare.split.by", "belongs to a group"),
    (
        "regression strata",
        REGRESSION | {"spec.prepare.split": {"strategy": "stratified"}},
        "spec.prepare.split.strategy",
        "classes",
    ),
    ("trees of a network", {"spec.train.model": {"trees": {"rounds": 9}}}, "spec.train.model.trees", "is for xgboost"),
    (
        "depth beside trees",
        {"spec.train.model": {"name": "xgboost", "depth": 3}},
        "spec.train.model.depth",
        "the sizes under `trees`",
    ),
    (
        "leaves of xgboost",
        {"spec.train.model": {"name": "xgboost", "trees": {"leaves": 9}}},
        "spec.train.model.trees.leaves",
        "sizes of lightgbm",
    ),
    (
        "learning rate beside trees",
        {"spec.train.model": {"name": "lightgbm"}, "spec.train.learningRate": 0.1},
        "spec.train.learningRate",
        "learn by rounds",
    ),
    (
        "nodes for trees",
        {"spec.train.model": {"name": "lightgbm"}, "spec.train.resources": {"nodes": 2}},
        "spec.train.resources.nodes",
        "one process on the CPU",
    ),
    ("no target", {"spec.prepare": None}, "spec.prepare.target", "prepare.target"),
    ("fill alone", {"spec.prepare.columns": [{"name": "a", "fill": 3}]}, "spec.prepare.columns[0].fill", "fill"),
    (
        "constant without fill",
        {"spec.prepare.columns": [{"name": "a", "missing": "constant"}]},
        "spec.prepare.columns[0].fill",
        "fill",
    ),
    (
        "onehot",
        {"spec.prepare.categorical": {"encode": "onehot", "maxCategories": 5000}},
        "spec.prepare.categorical.maxCategories",
        "at most 1000",
    ),
    ("cnn on a table", {"spec.train.model": {"name": "cnn"}}, "spec.train.model.name", "fits the task"),
    ("mlp on images", IMAGE | {"spec.train.model": {"name": "mlp"}}, "spec.train.model.name", "fits the task"),
    ("resnet on text", TEXT | {"spec.train.model": {"name": "resnet"}}, "spec.train.model.name", "fits the task"),
    ("pretrained where", TEXT | {"spec.train.model": {"name": "pretrained"}}, "spec.train.model.pretrained", "folder"),
    (
        "pretrained for another",
        TEXT | {"spec.train.model": {"name": "textcnn", "pretrained": "bert"}},
        "spec.train.model.pretrained",
        "belong together",
    ),
    ("freeze", TEXT | {"spec.train.model": {"freeze": True}}, "spec.train.model.freeze", "pretrained"),
    (
        "heads",
        TEXT | {"spec.train.model": {"name": "transformer", "width": 64, "heads": 5}},
        "spec.train.model.heads",
        "divides",
    ),
    ("smoothing", REGRESSION | {"spec.train.labelSmoothing": 0.1}, "spec.train.labelSmoothing", "classification"),
    ("weights", REGRESSION | {"spec.train.classWeights": "balanced"}, "spec.train.classWeights", "classification"),
    ("augment", {"spec.train.augment": {"flip": True}}, "spec.train.augment.flip", "for images only"),
    ("mixup of texts", TEXT | {"spec.train.augment": {"mixup": 0.2}}, "spec.train.augment.mixup", "for images only"),
    (
        "hidden tokens of images",
        IMAGE | {"spec.train.augment": {"tokenDropout": 0.1}},
        "spec.train.augment.tokenDropout",
        "for texts only",
    ),
    ("layer decay", IMAGE | {"spec.train.layerDecay": 0.8}, "spec.train.layerDecay", "needs a pretrained model"),
    (
        "unfreeze alone",
        IMAGE | {"spec.train.model": {"name": "pretrained", "pretrained": "vit", "unfreeze": {"after": 1}}},
        "spec.train.model.unfreeze",
        "ends a `freeze`",
    ),
    (
        "heads of a vision transformer",
        IMAGE | {"spec.train.model": {"name": "vit", "width": 64, "heads": 5}},
        "spec.train.model.heads",
        "divides",
    ),
    (
        "patches",
        {
            "spec.train.task": "image-classification",
            "spec.prepare": {"image": {"height": 28, "width": 30}},
            "spec.train.model": {"name": "vit", "patch": 4},
        },
        "spec.train.model.patch",
        "divide the images",
    ),
    (
        "smoothing of numbers of texts",
        {"spec.train.task": "text-regression", "spec.prepare": None, "spec.train.labelSmoothing": 0.1},
        "spec.train.labelSmoothing",
        "classification",
    ),
    ("no bound", {"spec.evaluate.gate": [{"metric": "accuracy"}]}, "spec.evaluate.gate[0]", "`min` or `max`"),
    (
        "min above max",
        {"spec.evaluate.gate": [{"metric": "accuracy", "min": 0.9, "max": 0.1}]},
        "spec.evaluate.gate[0].min",
        "not greater than max",
    ),
    (
        "foreign metric",
        {"spec.evaluate.gate": [{"metric": "accuracy", "min": 0.9}, {"metric": "rmse", "max": 1}]},
        "spec.evaluate.gate[1].metric",
        "fit the task",
    ),
    (
        "foreign metric of a regression",
        REGRESSION | {"spec.evaluate.gate": [{"metric": "f1Macro", "min": 0.9}]},
        "spec.evaluate.gate[0].metric",
        "fit the task",
    ),
    (
        "slice that is not measured",
        {"spec.evaluate": {"slices": ["sex"], "gate": [{"metric": "accuracy", "min": 0.9, "slice": "island=Biscoe"}]}},
        "spec.evaluate.gate[0].slice",
        "evaluate.slices",
    ),
    (
        "latency of a slice",
        {
            "spec.evaluate": {
                "slices": ["island"],
                "gate": [{"metric": "latencyP99Ms", "max": 5, "slice": "island=Biscoe"}],
            }
        },
        "spec.evaluate.gate[0].slice",
        "latency",
    ),
    ("onnx is needed", {"spec.package": {"formats": ["safetensors"]}}, "spec.package.formats", "onnx"),
    ("formats twice", {"spec.package": {"formats": ["onnx", "onnx"]}}, "spec.package.formats", "once"),
    ("slices twice", {"spec.evaluate": {"slices": ["a", "a"]}}, "spec.evaluate.slices", "once"),
    ("storage", {"spec.storage": {"uri": "runs"}}, "spec.storage.uri", "address"),
    (
        "toleration",
        {"spec.train.scheduling": {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}},
        "spec.train.scheduling.tolerations[0].value",
        "operator: Equal",
    ),
    (
        "toleration of every key",
        {"spec.train.scheduling": {"tolerations": [{"value": "b"}]}},
        "spec.train.scheduling.tolerations[0].key",
        "needs a key",
    ),
    (
        "scaled losses of shards",
        {"spec.train.precision": "fp16", "spec.train.distributed": {"strategy": "fsdp"}},
        "spec.train.precision",
        "does not go with `strategy: fsdp`",
    ),
    (
        "8 bits of a network without transformer blocks",
        {"spec.train.precision": "fp8"},
        "spec.train.precision",
        "`precision: fp8` is for the models transformer, vit, decoder, pretrained",
    ),
    (
        "factored moments of shards",
        {"spec.train.optimizer": "adafactor", "spec.train.distributed": {"strategy": "fsdp"}},
        "spec.train.optimizer",
        "does not go with `strategy: fsdp`",
    ),
    (
        "shared matrices of a table model",
        {"spec.train.distributed": {"tensorParallel": 2}},
        "spec.train.distributed.tensorParallel",
        "tensorParallel is for text-generation",
    ),
    *TUNE_BROKEN,
    *LANGUAGE_BROKEN,
    *CODE_BROKEN,
    *REINFORCEMENT_BROKEN,
    *EXPECTATIONS_BROKEN,
    *SERIES_BROKEN,
    *FEATURES_BROKEN,
    *FILES_BROKEN,
    *CLEANING_BROKEN,
    *ENGINES_BROKEN,
    *UNSUPERVISED_BROKEN,
]

USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("smallest", {}),
    ("http", {"spec.data.sources.0": {"http": {"url": "https://example.org/x.csv", "headersFrom": {"X-Key": "KEY"}}}}),
    ("s3", {"spec.data.sources.0": {"s3": {"uri": "s3://bucket/prefix/", "secretRef": {"name": "s3"}}}}),
    ("sources", {"spec.data.sources": [{"name": "a", "path": "x"}, {"path": "y"}, {"path": "z"}]}),
    ("tab", {"spec.data.sources.0.csv": {"delimiter": "\t", "quote": "'"}}),
    ("shares", {"spec.prepare.split": {"train": 0.6, "validation": 0.3, "test": 0.1}}),
    ("thirds", {"spec.prepare.split": {"train": 1 / 3, "validation": 1 / 3, "test": 1 / 3}}),
    ("group", {"spec.prepare.split": {"strategy": "group", "by": "person"}}),
    (
        "regression",
        REGRESSION | {"spec.evaluate.gate": [{"metric": "rmse", "max": 2}, {"metric": "latencyP50Ms", "max": 9}]},
    ),
    ("fill", {"spec.prepare.columns": [{"name": "a", "missing": "constant", "fill": False}, {"name": "b"}]}),
    ("onehot", {"spec.prepare.categorical": {"encode": "onehot"}}),
    ("8 bits", {"spec.train.precision": "fp8", "spec.train.model": {"name": "transformer"}}),
    ("images", IMAGE | {"spec.train.augment": {"flip": True, "crop": True}}),
    ("text", TEXT),
    (
        "numbers of texts",
        {
            "spec.train.task": "text-regression",
            "spec.prepare": {"target": "stars"},
            "spec.train.augment": {"tokenDropout": 0.1},
            "spec.evaluate.gate": [{"metric": "r2", "min": 0.2}],
        },
    ),
    (
        "fine-tuned images",
        IMAGE
        | {
            "spec.train.model": {"name": "pretrained", "pretrained": "s3://b/vit", "freeze": True, "unfreeze": {}},
            "spec.train.layerDecay": 0.8,
            "spec.train.ema": {},
            "spec.train.augment": {"mixup": 0.2, "policy": "trivialaugment"},
        },
    ),
    ("pretrained", TEXT | {"spec.train.model": {"name": "pretrained", "pretrained": "models/bert", "freeze": True}}),
    ("transformer", TEXT | {"spec.train.model": {"name": "transformer", "width": 96, "heads": 6}}),
    ("linear", {"spec.train.model": {"hidden": []}}),
    (
        "gate",
        {
            "spec.evaluate": {
                "slices": ["island"],
                "gate": [{"metric": "accuracy", "min": 0.9, "max": 1, "slice": "island=Biscoe"}],
            }
        },
    ),
    (
        "scheduling",
        {
            "spec.train.scheduling": {
                "queue": "team-a",
                "nodeSelector": {"nvidia.com/gpu.product": "H100"},
                "tolerations": [{"operator": "Exists"}, {"key": "gpu", "value": "true", "effect": "NoSchedule"}],
            },
            "spec.train.timeout": "1h30m",
            "spec.train.resources": {"nodes": 4, "gpusPerNode": 8, "cpu": "8", "memory": "64Gi"},
        },
    ),
    ("storage", {"spec.storage": {"uri": "s3://bucket/runs", "secretRef": {"name": "s3"}}}),
    ("one brace", {"spec.package": {"description": "a {b} c {\n", "license": "Apache-2.0"}}),
    *TUNE_USED_WELL,
    *CODE_USED_WELL,
    *REINFORCEMENT_USED_WELL,
    *EXPECTATIONS_USED_WELL,
    *SERIES_USED_WELL,
    *FEATURES_USED_WELL,
    *FILES_USED_WELL,
    *CLEANING_USED_WELL,
    *ENGINES_USED_WELL,
    *UNSUPERVISED_USED_WELL,
]


@pytest.mark.parametrize(("changes", "path", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_rule_names_the_field(make: Make, changes: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_object(make(changes))
    problems = caught.value.problems
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message + problems[0].cure


@pytest.mark.parametrize("changes", [case[1] for case in USED_WELL], ids=[case[0] for case in USED_WELL])
def test_good_use_is_accepted(make: Make, changes: dict[str, Any]) -> None:
    load_object(make(changes))


def test_every_rule_is_broken_by_a_case(make: Make) -> None:
    """A rule nobody breaks in a test may be one that nobody can break."""

    def subclasses(model: type[Part]) -> list[type[Part]]:
        return [child for each in model.__subclasses__() for child in (each, *subclasses(each))]

    told: set[str] = set()
    for _, changes, _, _ in BROKEN:
        with pytest.raises(SpecError) as caught:
            load_object(make(changes))
        told |= {problem.message for problem in caught.value.problems}
    rules = {rule.message for model in subclasses(Part) for rule in model.rules}
    assert rules - {OWN_WORDS} <= told


def test_all_broken_rules_are_told_at_once(make: Make) -> None:
    changes = {"spec.prepare.split": {"strategy": "group", "train": 0.9}, "spec.train.model": {"name": "cnn"}}
    with pytest.raises(SpecError) as caught:
        load_object(make(changes))
    assert {problem.path for problem in caught.value.problems} == {
        "spec.prepare.split.by",
        "spec.prepare.split.train",
        "spec.train.model.name",
    }


@pytest.mark.parametrize(
    ("changes", "model", "strategy", "target"),
    [
        ({}, "mlp", "stratified", "species"),
        (REGRESSION, "mlp", "random", "species"),
        (IMAGE, "cnn", "stratified", "label"),
        (TEXT, "textcnn", "stratified", "label"),
        (TEXT | {"spec.prepare": {"target": "mood"}}, "textcnn", "stratified", "mood"),
    ],
)
def test_defaults_follow_the_task(make: Make, changes: dict[str, Any], model: str, strategy: str, target: str) -> None:
    spec = load_object(make(changes)).spec
    assert (spec.train.model.name, spec.prepare.split.strategy, spec.prepare.target) == (model, strategy, target)


def test_sources_are_named_by_position_past_the_names_that_are_taken(make: Make) -> None:
    for given, named in (
        ([None, None], ["source-0", "source-1"]),
        (["a", None], ["a", "source-1"]),
        (["source-1", None, None], ["source-1", "source-2", "source-3"]),
        ([None, None, "source-0"], ["source-1", "source-2", "source-0"]),
    ):
        sources = [{"path": "x"} if name is None else {"path": "x", "name": name} for name in given]
        run = load_object(make({"spec.data.sources": sources}))
        assert [source.name for source in run.spec.data.sources] == named


def test_a_spec_can_be_built_in_python() -> None:
    spec = TrainingRunSpec(
        data=DataSpec(sources=(Source(path="a"), Source(path="b"))),
        prepare=PrepareSpec(target="y"),
        train=TrainSpec(task="tabular-regression"),
    )
    assert [source.name for source in spec.data.sources] == ["source-0", "source-1"]
    assert spec.prepare.split.strategy == "random"
    assert (spec.train.modality, spec.train.kind) == ("tabular", "regression")


def test_null_means_not_given(make: Make) -> None:
    run = make()
    run["spec"]["train"] |= {"epochs": None, "earlyStopping": None, "model": None, "resources": {"cpu": None}}
    assert load_object(run) == load_object(make())
