"""The PyTorchJob that a configuration makes."""

import json
from typing import Any

import pytest

from runwright_components.cluster.manifests import pytorch_job
from runwright_components.contract.cluster import ClusterRun, JobConfig, StorageConfig, Toleration
from runwright_components.contract.config import ModelConfig, TrainConfig

CONFIG = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))


def _job(run: ClusterRun, **changes: Any) -> dict[str, Any]:
    job = JobConfig(image="registry.example/train:1", **changes)
    return pytorch_job(run.model_copy(update={"job": job}), config=CONFIG, prepared_uri="s3://bucket/prepared")


def _pod(job: dict[str, Any], replica: str = "Master") -> dict[str, Any]:
    return dict(job["spec"]["pytorchReplicaSpecs"][replica]["template"]["spec"])


def _environment(job: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in _pod(job)["containers"][0]["env"]}


def test_one_node_is_one_master_that_nobody_else_restarts(run: ClusterRun) -> None:
    job = _job(run)
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert job["metadata"]["name"] == "churn-r3"
    assert job["spec"]["runPolicy"] == {"cleanPodPolicy": "Running", "backoffLimit": 0}
    assert set(job["spec"]["pytorchReplicaSpecs"]) == {"Master"}
    assert job["spec"]["pytorchReplicaSpecs"]["Master"]["restartPolicy"] == "Never"
    assert "suspend" not in job["spec"]["runPolicy"]
    assert _pod(job)["containers"][0]["name"] == "pytorch"
    assert _pod(job)["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_several_nodes_spread_and_share_one_template(run: ClusterRun) -> None:
    job = _job(run, nodes=3, processes_per_node=2)
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert (replicas["Master"]["replicas"], replicas["Worker"]["replicas"]) == (1, 2)
    assert replicas["Master"]["template"] == replicas["Worker"]["template"]
    assert replicas["Master"]["template"] is not replicas["Worker"]["template"]
    assert job["spec"]["nprocPerNode"] == "2"
    (spread,) = _pod(job)["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == {"training.kubeflow.org/job-name": "churn-r3"}


def test_resources_scheduling_and_shared_memory(run: ClusterRun) -> None:
    job = _job(
        run,
        gpus_per_node=4,
        processes_per_node=4,
        cpu="8",
        memory="32Gi",
        priority_class="high",
        node_selector={"gpu": "h100"},
        tolerations=(Toleration(key="gpu", operator="Exists", effect="NoSchedule"),),
    )
    pod = _pod(job)
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "8", "memory": "32Gi"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "4"},
    }
    assert pod["nodeSelector"] == {"gpu": "h100"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["priorityClassName"] == "high"
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory"}} in pod["volumes"]
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]
    assert _environment(job)["TORCH_NCCL_ASYNC_ERROR_HANDLING"] == "1"


def test_a_small_job_has_no_shared_memory_and_no_nccl(run: ClusterRun) -> None:
    job = _job(run)
    assert [volume["name"] for volume in _pod(job)["volumes"]] == ["tmp"]
    assert not [name for name in _environment(job) if "NCCL" in name]
    assert _pod(job)["containers"][0]["resources"] == {}


def test_a_queue_starts_it_suspended(run: ClusterRun) -> None:
    job = _job(run, queue="research", priority_class="high")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert job["spec"]["runPolicy"]["suspend"] is True
    assert job["spec"]["runPolicy"]["schedulingPolicy"] == {"priorityClass": "high"}


def test_pods_meet_pod_security_restricted(run: ClusterRun) -> None:
    pod = _pod(_job(run, nodes=2, gpus_per_node=1), "Worker")
    container = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["allowPrivilegeEscalation"] is False
    assert container["readOnlyRootFilesystem"] is True
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert "hostNetwork" not in pod


def test_it_is_found_by_labels_and_goes_with_its_owner(run: ClusterRun) -> None:
    job = _job(run)
    labels = {
        "runwright.dev/run": "churn",
        "runwright.dev/run-uid": "uid-of-churn",
        "runwright.dev/revision": "3",
        "runwright.dev/stage": "train",
        "app.kubernetes.io/managed-by": "runwright",
    }
    template = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
    assert job["metadata"]["labels"] == labels
    assert labels.items() <= template["metadata"]["labels"].items()
    assert job["metadata"]["annotations"] == {"runwright.dev/recipe": run.recipe}
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("TrainingRun", "churn", "uid-of-churn")


def test_secrets_come_from_the_storages_secret_only(run: ClusterRun) -> None:
    storage = StorageConfig(uri="s3://b/p", endpoint="http://store:9000", region="eu-1", secret="storage-access")
    job = _job(run.model_copy(update={"storage": storage}))
    container = _pod(job)["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "storage-access"}}]
    assert _environment(job)["AWS_ENDPOINT_URL"] == "http://store:9000"
    assert _environment(job)["AWS_REGION"] == "eu-1"


@pytest.mark.parametrize("nasty", ["$(HOME)", "$$(HOME)", "{{workflow.name}}", "a'b\"; rm -rf /", "$", "$(", "привет"])
def test_no_user_string_is_expanded_or_run(run: ClusterRun, nasty: str) -> None:
    config = CONFIG.model_copy(update={"model": ModelConfig(name="mlp", pretrained=nasty)})
    job = pytorch_job(run, config=config, prepared_uri=nasty)
    values = _environment(job)
    assert _expanded(values["RUNWRIGHT_PREPARED"]) == nasty
    assert json.loads(_expanded(values["RUNWRIGHT_TRAIN"]))["model"]["pretrained"] == nasty
    assert _pod(job)["containers"][0]["command"] == ["python", "-m", "runwright_components.cluster.worker"]


def _expanded(text: str) -> str:
    """As the kubelet expands an environment value: `$$` is a dollar, `$(NAME)` the variable NAME."""
    found, at = "", 0
    while at < len(text):
        if text.startswith("$$", at):
            found, at = found + "$", at + 2
            continue
        assert not text.startswith("$(", at), "the kubelet would put a variable here"
        found, at = found + text[at], at + 1
    return found


def test_the_same_input_makes_the_same_bytes(run: ClusterRun) -> None:
    assert json.dumps(_job(run, nodes=2)) == json.dumps(_job(run, nodes=2))
