"""What a cluster's pipeline says of retries, against what kfp itself writes."""

import json
from pathlib import Path

from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.pipeline_spec import pipeline_spec_pb2

from runwright_api.trainingrun import TrainingRun
from runwright_pipelines.compiling import LAYOUTS, pipeline_spec
from runwright_pipelines.retries import POLICY, STEP_RETRIES, with_retries


def run() -> TrainingRun:
    return TrainingRun.model_validate(
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "churn"},
            "spec": {
                "data": {"sources": [{"path": "churn.csv"}]},
                "prepare": {"target": "churned"},
                "train": {"task": "tabular-classification"},
            },
        }
    )


def test_every_task_is_retried_and_nothing_else_changes() -> None:
    for layout in LAYOUTS:
        drawn = pipeline_spec(run(), layout=layout)
        before = json.dumps(drawn)
        retried = with_retries(drawn)
        assert json.dumps(drawn) == before, "what was given stays as it is"
        json_format.ParseDict(retried, pipeline_spec_pb2.PipelineSpec())
        tasks = retried["root"]["dag"]["tasks"]
        assert all(task.pop("retryPolicy") == POLICY for task in tasks.values())
        assert retried == drawn


def test_the_policy_is_written_as_kfp_writes_it(tmp_path: Path) -> None:
    @dsl.component(base_image="any")
    def nothing() -> None:
        pass

    @dsl.pipeline
    def retried() -> None:
        nothing().set_retry(STEP_RETRIES, backoff_duration="5s", backoff_factor=2.0, backoff_max_duration="60s")

    file = tmp_path / "pipeline.json"
    compiler.Compiler().compile(retried, str(file))
    (task,) = json.loads(file.read_text())["root"]["dag"]["tasks"].values()
    assert task["retryPolicy"] == POLICY
