"""Kinds of jobs beside PyTorchJobs: what a cluster lacks is refused, what is left behind is deleted."""

from dataclasses import replace
from typing import Any

import pytest

from runwright_operator.brain.decision import DeleteJob, StartPipeline
from runwright_operator.brain.observed import JobSeen
from runwright_operator.reading import read_run
from runwright_operator.resources import PYTORCH_JOB, RAY_JOB, SPARK_APPLICATION, TRAIN_JOB
from tests.doubles.brain import World, spec


def raw(**train: Any) -> dict[str, Any]:
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "churn", "namespace": "team"},
        "spec": {
            "data": {"sources": [{"s3": {"uri": "s3://data/churn.csv"}}]},
            "prepare": {"target": "churned"},
            "train": {"task": "tabular-classification", **train},
        },
    }


RAY = {"backend": "rayjob", "code": {"command": ["python", "/opt/churn/train.py"]}, "image": "ghcr.io/acme/churn:1"}


@pytest.mark.parametrize(
    ("train", "missing", "told"),
    [
        (
            {"backend": "trainjob"},
            TRAIN_JOB,
            "spec.train.backend: this cluster has no TrainJob (trainer.kubeflow.org/v1alpha1); "
            "install Kubeflow Trainer 2 and JobSet, or use `backend: pytorchjob`",
        ),
        (
            RAY,
            RAY_JOB,
            "spec.train.backend: this cluster has no RayJob (ray.io/v1); install KubeRay, or use `backend: pytorchjob`",
        ),
    ],
)
def test_a_kind_that_the_cluster_lacks_is_refused(train: dict[str, Any], missing: Any, told: str) -> None:
    assert read_run(raw(**train), missing={missing}) == (None, (told,))
    run, problems = read_run(raw(**train), missing={PYTORCH_JOB})
    assert run is not None, problems


def test_a_ray_cluster_needs_an_image_of_the_users() -> None:
    from_storage = {"path": "s3://code/churn", "entrypoint": "churn.train"}
    run, problems = read_run(raw(backend="rayjob", code=from_storage))
    assert run is None
    assert problems == (
        "spec.train.image: `backend: rayjob` needs an image with Ray and Runwright; docs/backends.md says how",
    )


PODS = {"image": "ghcr.io/acme/spark:1", "claimName": "shared"}


def on(engine: str, **cluster: Any) -> dict[str, Any]:
    whole = raw()
    whole["spec"]["data"] = {**whole["spec"]["data"], "engine": engine, **({"cluster": cluster} if cluster else {})}
    return whole


@pytest.mark.parametrize(
    ("engine", "missing", "told"),
    [
        (
            "spark",
            SPARK_APPLICATION,
            "no SparkApplication (sparkoperator.k8s.io/v1beta2); install the Kubeflow Spark op",
        ),
        ("ray", RAY_JOB, "no RayJob (ray.io/v1); install KubeRay, or use `engine: local`"),
    ],
)
def test_an_engine_that_the_cluster_lacks_is_refused(engine: str, missing: Any, told: str) -> None:
    run, problems = read_run(on(engine, **PODS), missing={missing})
    assert run is None
    assert problems[0].startswith(f"spec.data.engine: this cluster has {told}")
    run, problems = read_run(on(engine, **PODS))
    assert run is not None, problems


def test_an_engine_needs_pods_in_a_cluster() -> None:
    run, problems = read_run(on("spark"))
    assert run is None
    assert problems == (
        "spec.data.cluster: `engine: spark` needs an image with the engine and Runwright, and a volume that all its"
        " pods mount; docs/data/engines.md says how",
    )


def test_a_job_that_prepares_data_goes_when_its_engine_is_asked_for_no_more() -> None:
    world = World()
    world.edit(spec(backend="trainjob"))
    jobs = (JobSeen("churn-r1-data", "SparkApplication"), JobSeen("churn-r1", "TrainJob"))
    world.seen = replace(world.seen, jobs=jobs)
    world.settle()
    deleted = {action for action in world.done if isinstance(action, DeleteJob)}
    assert deleted == {DeleteJob("churn-r1-data", "SparkApplication")}


def test_a_job_of_another_kind_is_deleted_before_the_next_attempt_starts() -> None:
    world = World()
    world.edit(spec(backend="trainjob"))
    world.seen = replace(world.seen, jobs=(JobSeen("churn-r1"), JobSeen("churn-r1", "TrainJob"), JobSeen("churn-r9")))
    world.settle()
    assert any(isinstance(action, StartPipeline) for action in world.done)
    assert {action for action in world.done if isinstance(action, DeleteJob)} == {DeleteJob("churn-r1", "PyTorchJob")}


def test_the_jobs_of_a_revisions_trials_go_with_its_own() -> None:
    world = World()
    world.edit(spec(backend="trainjob"))
    jobs = tuple(map(JobSeen, ("churn-r1-t0", "churn-r1-t12", "churn-r11-t0", "churn-r1-token")))
    world.seen = replace(world.seen, jobs=jobs)
    world.settle()
    gone = {action.name for action in world.done if isinstance(action, DeleteJob)}
    assert gone == {"churn-r1-t0", "churn-r1-t12"}
