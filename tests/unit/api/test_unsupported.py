"""What is not there yet is refused, at its place, with what to use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runwright_api import SpecError, load, load_object
from runwright_api.unsupported import REFUSALS

Make = Callable[..., dict[str, Any]]
SECRET = {"secretRef": {"name": "x"}}

USES: dict[str, Any] = {
    "spec.evaluate.gate": [{"metric": "accuracy", "minGain": 0.0}],
    "spec.evaluate.fairness": {"columns": ["sex"]},
    "spec.evaluate.explanations": {"method": "permutation"},
    "spec.package.quantized": {"precision": "int8"},
    "spec.register.mlflow": {"trackingUri": "https://mlflow.example.org"},
    "spec.register.modelRegistry": {"url": "https://registry.example.org"},
    "spec.register.huggingFaceHub": {"repository": "acme/churn"} | SECRET,
    "spec.deploy.scaling": {"maxReplicas": 3},
    "spec.deploy.rollout": {"steps": [{"weight": 10, "pause": "5m"}]},
    "spec.monitor": {"drift": {"threshold": 0.3}},
    "spec.retrain": {"schedule": "0 3 * * 1", "onDrift": True},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *USES.items(),
        *(
            ("spec.data.sources.0", {"sql": {"dialect": dialect, "query": "SELECT 1"} | SECRET})
            for dialect in ("mssql", "snowflake", "bigquery")
        ),
    ],
)
def test_it_is_refused(make: Make, path: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        load_object(make({path: value}))
    (problem,) = caught.value.problems
    assert "is not available yet in this version" in problem.message
    assert problem.cure


def test_every_refusal_is_tried() -> None:
    tried = {path.replace(".0", "[]") for path in USES} | {"spec.data.sources[].sql.dialect"}
    assert {refusal.path for refusal in REFUSALS} <= tried | {"spec.evaluate.gate[].minGain"}


def test_the_shape_inside_is_not_nagged_about(make: Make) -> None:
    with pytest.raises(SpecError) as caught:
        load_object(make({"spec.monitor": {"drifft": 3}, "spec.evaluate.fairness": {}}))
    assert {problem.path for problem in caught.value.problems} == {"spec.monitor", "spec.evaluate.fairness"}


def test_the_line_is_told(smallest_yaml: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(smallest_yaml + "  retrain: {onDrift: true}\n", file="run.yaml")
    assert caught.value.render() == (
        "run.yaml:13:3: spec.retrain: retrain is not available yet in this version\n"
        "  13 |   retrain: {onDrift: true}\n"
        "     |   ^\n"
        "  cure: run it again by hand or from a scheduler"
    )


def test_what_only_a_cluster_uses_is_accepted(make: Make) -> None:
    run = load_object(
        make(
            {
                "spec.deploy": {"mode": "Knative", "resources": {"cpu": "1", "gpus": 1}},
                "spec.train.retries": {"failures": 1, "preemptions": 3},
                "spec.train.scheduling": {"queue": "team-a", "priorityClassName": "high"},
                "spec.suspend": True,
                "spec.storage": {"uri": "s3://bucket/x"},
                "spec.data.engine": "local",
                "spec.train.backend": "pytorchjob",
            }
        )
    )
    assert run.spec.deploy.mode == "Knative"
