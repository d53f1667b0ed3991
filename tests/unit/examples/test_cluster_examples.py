"""The examples for a cluster: what the operator would make of each, without a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright_components.contract.cluster import StorageConfig
from runwright_operator.reading import digest_of, read_run
from runwright_pipelines.cluster import Defaults, cluster_run, with_registry
from runwright_pipelines.compiling import LAYOUTS, Layout, pipeline_spec

EXAMPLES = Path(__file__).parents[3] / "examples"
CLUSTER = sorted(EXAMPLES.glob("*/cluster.yaml"))
LAPTOP = sorted(EXAMPLES.glob("*/run.yaml"))
DEFAULTS = Defaults(
    storage=StorageConfig(uri="s3://models"),
    train_image="train:1",
    train_gpu_image="train-cuda:1",
    serve_image="serve:1",
)


def _raw(file: Path) -> dict[str, Any]:
    """The object as `kubectl apply` would send it."""
    content: dict[str, Any] = yaml.safe_load(file.read_bytes())
    return content


def test_there_are_examples_for_a_cluster_and_for_a_machine() -> None:
    assert {file.parent.name for file in CLUSTER} >= {"penguins", "birdstrikes"}
    assert len(LAPTOP) >= 5


@pytest.mark.parametrize("file", CLUSTER, ids=lambda file: file.parent.name)
def test_the_operator_accepts_it(file: Path) -> None:
    run, problems = read_run(_raw(file))
    assert not problems
    assert run is not None
    assert run.name == file.parent.name, "a person finds it by the name of its folder"
    assert all(source.http and source.http.url.startswith("https://") for source in run.spec.data.sources)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("file", CLUSTER, ids=lambda file: file.parent.name)
def test_it_compiles(file: Path, layout: Layout) -> None:
    run, _ = read_run(_raw(file))
    assert run is not None
    pipeline = pipeline_spec(with_registry(run, DEFAULTS, namespace="birds"), layout=layout)
    assert pipeline["pipelineInfo"]["name"] == run.name
    told = cluster_run(
        run, DEFAULTS, namespace="birds", uid="0123456789abcdef", revision=1, recipe=digest_of(run), deploys=True
    )
    assert told.storage.uri == f"s3://models/birds/{run.name}/0123456789abcdef/r1"
    assert told.service is not None
    assert told.job.image == ("train-cuda:1" if told.job.gpus_per_node else "train:1")


FIRST_PATH = {"heating": "train.environment.file", "delays": "data.sources[0].sql.path"}


@pytest.mark.parametrize("file", LAPTOP, ids=lambda file: file.parent.name)
def test_a_path_of_a_machine_is_refused_with_the_field_and_the_cure(file: Path) -> None:
    run, problems = read_run(_raw(file))
    assert run is None
    field = FIRST_PATH.get(file.parent.name, "data.sources[0].path")
    assert problems[0].startswith(f"spec.{field}: a pod cannot read a path of your machine; ")
    assert "s3:// address" in problems[0]


def test_a_pretrained_model_is_refused_wherever_it_lies() -> None:
    content = _raw(EXAMPLES / "reviews" / "run.yaml")
    content["spec"]["data"]["sources"] = [{"http": {"url": "https://example.org/reviews.csv"}}]
    content["spec"]["train"]["model"]["pretrained"] = "s3://models/encoder"
    run, problems = read_run(content)
    assert run is None
    assert problems[0].startswith("spec.train.model.pretrained: a pod has no such folder")


def test_the_penguins_of_the_cluster_are_those_of_the_machine() -> None:
    """Both describe the same model: only where it runs and where the data come from differ."""
    cluster, laptop = (_raw(EXAMPLES / "penguins" / name)["spec"] for name in ("cluster.yaml", "run.yaml"))
    for part in ("prepare", "evaluate", "package"):
        assert cluster[part] == laptop[part]
    assert {**laptop["train"], "resources": cluster["train"]["resources"]} == {
        "learningRate": 0.001,
        **cluster["train"],
    }
