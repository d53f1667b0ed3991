"""The TrainJob and its TrainingRuntime that a configuration makes."""

from typing import Any

from runwright_components.cluster.manifests import pytorch_job, train_job, training_runtime
from runwright_components.cluster.worker import Node
from runwright_components.contract.cluster import ClusterRun, JobConfig, StorageConfig
from runwright_components.contract.config import ModelConfig, TrainConfig

CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))


def asking(run: ClusterRun, **changes: Any) -> ClusterRun:
    job = JobConfig(backend="trainjob", image="registry.example/train:1", **changes)
    return run.model_copy(update={"job": job})


def job_of(run: ClusterRun) -> dict[str, Any]:
    return train_job(run, config=CONFIG, prepared_uri="s3://bucket/prepared")


def template(runtime: dict[str, Any]) -> dict[str, Any]:
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert node["name"] == "node"
    return dict(node["template"])


def test_the_job_says_what_runs_and_on_how_many_nodes(run: ClusterRun) -> None:
    job = job_of(asking(run, nodes=3, gpus_per_node=8, processes_per_node=8, memory="64Gi"))
    assert (job["apiVersion"], job["kind"]) == ("trainer.kubeflow.org/v1alpha1", "TrainJob")
    assert job["metadata"]["name"] == "churn-r3"
    assert job["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": "churn-r3",
    }
    trainer = job["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (3, 8)
    assert trainer["command"] == ["python", "-m", "runwright_components.cluster.worker"]
    assert trainer["resourcesPerNode"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "8"}
    assert not [one["name"] for one in trainer["env"] if one["name"].startswith("PET_")], "those are Trainer's own"
    assert "suspend" not in job["spec"]


def test_the_first_failure_ends_it(run: ClusterRun) -> None:
    node = template(training_runtime(asking(run), config=CONFIG, prepared_uri="x"))
    assert node["spec"]["backoffLimit"] == 0
    assert node["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert node["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}


def test_its_pods_are_those_of_a_pytorch_job(run: ClusterRun) -> None:
    given = asking(run, nodes=2, priority_class="high").model_copy(
        update={"storage": StorageConfig(uri="s3://b/p", secret="storage-access")}
    )
    pod = template(training_runtime(given, config=CONFIG, prepared_uri="x"))["spec"]["template"]
    other = pytorch_job(given, config=CONFIG, prepared_uri="x")["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
    assert pod["metadata"] == other["metadata"]
    mine, theirs = dict(pod["spec"]), dict(other["spec"])
    assert mine.pop("restartPolicy") == "Never"
    (container,), (its,) = mine.pop("containers"), theirs.pop("containers")
    assert container == {**{name: its[name] for name in container}, "name": "node"}
    assert container["envFrom"] == [{"secretRef": {"name": "storage-access"}}]
    (spread,), (its_spread,) = mine.pop("topologySpreadConstraints"), theirs.pop("topologySpreadConstraints")
    assert spread["labelSelector"] == {"matchLabels": {"jobset.sigs.k8s.io/jobset-name": "churn-r3"}}
    assert {**spread, "labelSelector": its_spread["labelSelector"]} == its_spread
    assert mine == theirs


def test_a_queue_starts_it(run: ClusterRun) -> None:
    given = asking(run, queue="research")
    job = job_of(given)
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert (
        "kueue.x-k8s.io/queue-name"
        not in training_runtime(given, config=CONFIG, prepared_uri="x")["metadata"]["labels"]
    )


def test_the_training_run_owns_both(run: ClusterRun) -> None:
    given = asking(run)
    for one in (job_of(given), training_runtime(given, config=CONFIG, prepared_uri="x")):
        (owner,) = one["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("TrainingRun", run.uid)


def test_a_pod_of_trainer_knows_its_place() -> None:
    environment = {"PET_MASTER_ADDR": "churn-r3-node-0-0.churn-r3", "PET_MASTER_PORT": "29500", "PET_NODE_RANK": "2"}
    assert Node.of(environment, 3) == Node(3, 2, "churn-r3-node-0-0.churn-r3:29500")
