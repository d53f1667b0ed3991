"""The pods that the double of Kubeflow Pipelines makes of a task, and what it reads from their end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.kfp_specs import shell
from tests.doubles.kfp import attempts, graph, pods
from tests.doubles.kfp.store import Run, Task

PENGUINS = Path(__file__).parents[1] / "golden" / "ir" / "penguins.compact.yaml"
PLACE = pods.Place(namespace="team", account="runwright-run", launcher="kfp-launcher-0", endpoint="http://store:9000")


def _run(spec: dict[str, Any], **fields: Any) -> Run:
    return Run(id="0a1b2c3d-0000", experiment_id="e", name="penguins-r1", spec=spec, created=0, **fields)


def _pod(run: Run, name: str, kind: pods.Kind = "executor") -> dict[str, Any]:
    node = next(node for node in graph.nodes(run.spec) if node.name == name)
    task = Task(id=f"id-of-{name}", name=name, created=0, attempts=1)
    given = pods.executor_input(run, node, task, attempts.inputs(run, node, task), PLACE)
    return pods.manifest(run, node, task, PLACE, kind, given)


def _option(pod: dict[str, Any], name: str) -> Any:
    command = pod["spec"]["containers"][0]["command"]
    return json.loads(command[command.index(f"--{name}") + 1])


@pytest.fixture
def run() -> Run:
    data = Task(
        id="id-of-data",
        name="data",
        created=0,
        state="SUCCEEDED",
        metadata={"prepared_data": {"digest": "d"}},
        artifacts={"prepared_data": "minio://mlpipeline/elsewhere/prepared_data"},
    )
    return _run(yaml.safe_load(PENGUINS.read_text()), tasks=[data])


@pytest.mark.parametrize("kind", ["executor", "driver"])
def test_a_pod_is_one_that_restricted_namespaces_let_in(run: Run, kind: pods.Kind) -> None:
    pod = _pod(run, "model", kind)
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["serviceAccountName"] == "runwright-run"
    assert {"pipeline/runid": run.id, "pipelines.kubeflow.org/v2_component": "true"}.items() <= pod["metadata"][
        "labels"
    ].items()


def test_the_component_is_told_where_its_artifacts_lie(run: Run) -> None:
    given = _option(_pod(run, "model"), "executor_input")
    (prepared,) = given["inputs"]["artifacts"]["prepared_data"]["artifacts"]
    assert (prepared["uri"], prepared["metadata"]) == ("minio://mlpipeline/elsewhere/prepared_data", {"digest": "d"})
    assert prepared["type"]["schemaTitle"] == "system.Dataset"
    root = f"minio://mlpipeline/v2/artifacts/penguins/{run.id}/model/id-of-model"
    assert given["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == f"{root}/model"
    assert given["outputs"]["outputFile"] == f"/minio/{root.removeprefix('minio://')}/output_metadata.json"
    assert given["inputs"]["parameterValues"]["run_id"] == run.id


def test_the_components_own_command_line_comes_last(run: Run) -> None:
    (container,) = _pod(run, "model")["spec"]["containers"]
    assert container["command"][:3] == ["python3", "/kfp-launcher/launch.py", "execute"]
    assert container["command"][-1] == "--"
    assert container["args"][:2] == ["sh", "-ec"]
    assert container["args"][-4:] == ["--executor_input", "{{$}}", "--function_to_execute", "model"]
    (driver,) = _pod(run, "model", "driver")["spec"]["containers"]
    assert driver["args"] == []


def test_a_run_may_have_a_root_of_its_own() -> None:
    run = _run(shell("true"), pipeline_root="s3://bucket/mine/")
    given = _option(_pod(run, "shell"), "executor_input")
    root = f"bucket/mine/shell/{run.id}/shell/id-of-shell"
    assert given["outputs"]["outputFile"] == f"/s3/{root}/output_metadata.json"


def test_every_attempt_has_a_name_of_its_own_and_always_the_same(run: Run) -> None:
    task = Task(id="x", name="train", created=0, attempts=1)
    first, again = pods.pod_name(run, "executor", task), pods.pod_name(run, "executor", task)
    task.attempts = 2
    names = {first, again, pods.pod_name(run, "executor", task), pods.pod_name(run, "driver", task)}
    assert first == again
    assert len(names) == 3
    assert all(name.startswith("penguins-0a1b2-system-") and len(name) <= 63 for name in names)


def test_secrets_are_references() -> None:
    wanted = {"secretName": "door", "keyToEnv": [{"secretKey": "k", "envVar": "WORD"}], "optional": True}
    executors = {"exec-shell": {"secretAsEnv": [wanted], "imagePullPolicy": "Always"}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    (container,) = _pod(_run(shell("true"), platform=platform), "shell")["spec"]["containers"]
    key = {"name": "door", "key": "k", "optional": True}
    assert {"name": "WORD", "valueFrom": {"secretKeyRef": key}} in container["env"]
    assert container["imagePullPolicy"] == "Always"
    (driver,) = _pod(_run(shell("true"), platform=platform), "shell", "driver")["spec"]["containers"]
    assert "WORD" not in json.dumps(driver)


def test_claims_are_mounted_where_the_step_runs() -> None:
    wanted = {"pvcNameParameter": {"runtimeValue": {"constant": "sales"}}, "mountPath": "/volumes/sales"}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-shell": {"pvcMount": [wanted]}}}}}}
    spec = _pod(_run(shell("true"), platform=platform), "shell")["spec"]
    assert {"name": "sales", "mountPath": "/volumes/sales"} in spec["containers"][0]["volumeMounts"]
    assert {"name": "sales", "persistentVolumeClaim": {"claimName": "sales"}} in spec["volumes"]
    assert "sales" not in json.dumps(_pod(_run(shell("true"), platform=platform), "shell", "driver"))


def test_what_a_platform_asks_for_and_pods_lack_is_refused() -> None:
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-shell": {"nodeSelector": {}}}}}}}
    with pytest.raises(pods.UnknownError, match="nodeSelector"):
        _pod(_run(shell("true"), platform=platform), "shell")


def test_resources_in_both_of_their_spellings() -> None:
    assert pods.resources({"cpuLimit": 2.0, "memoryLimit": 1.5, "memoryRequest": 0.5}) == {
        "limits": {"cpu": "2", "memory": "1.5G"},
        "requests": {"memory": "0.5G"},
    }
    gpus = {"type": "nvidia.com/gpu", "count": "2", "resourceType": "nvidia.com/gpu", "resourceCount": "2"}
    assert pods.resources({"resourceCpuRequest": "500m", "accelerator": gpus}) == {
        "requests": {"cpu": "500m"},
        "limits": {"nvidia.com/gpu": "2"},
    }
    with pytest.raises(pods.UnknownError):
        pods.resources({"resourceCpuRequest": "{{$.inputs.parameters['cpu']}}"})


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        ({"phase": "Succeeded"}, 0, ""),
        (
            {"phase": "Failed", "containerStatuses": [{"exitCode": 1, "reason": "Error"}]},
            1,
            "main: Error (exit code 1)",
        ),
        (
            {"phase": "Failed", "containerStatuses": [{"exitCode": 137, "reason": "OOMKilled", "message": "big"}]},
            137,
            "main: OOMKilled (exit code 137): big",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            None,
            "The node was low on resource: memory.",
        ),
        ({"phase": "Failed"}, None, "pod failed: main container did not complete successfully"),
    ],
)
def test_the_end_of_a_pod_reads_as_argo_words_it(status: dict[str, Any], code: int | None, error: str) -> None:
    ended = [{"name": "main", "state": {"terminated": one}} for one in status.get("containerStatuses", ())]
    found = pods.ending({"metadata": {}, "status": {**status, "containerStatuses": ended}})
    assert found is not None
    assert (found.code, found.error) == (code, error)


@pytest.mark.parametrize("status", [{}, {"phase": "Pending"}, {"phase": "Running"}])
def test_a_pod_that_waits_or_runs_has_not_ended(status: dict[str, Any]) -> None:
    assert pods.ending({"metadata": {}, "status": status}) is None
