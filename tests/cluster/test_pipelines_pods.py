"""The double of Kubeflow Pipelines with pods: real API server and scheduler, the pods' commands as processes."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import kfp_server_api
import obstore
import pytest
import yaml
from google.protobuf import json_format
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually
from tests.contract.kfp_components import talk
from tests.contract.kfp_specs import shell
from tests.doubles.containers import Containers, containers
from tests.doubles.kfp import pods
from tests.doubles.kfp.process import Double
from tests.machine import unable

ACCOUNT = "runwright-run"
BUCKET = "mlpipeline"
PATIENCE = 300.0
PENGUINS = Path(__file__).parents[1] / "golden" / "ir" / "penguins.compact.yaml"
EXAMPLE = Path(__file__).parents[2] / "examples" / "penguins"
KEYS = {"accesskey": "the-key", "secretkey": "the-secret"}


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    httpx.put(f"http://{host}:{port}/{BUCKET}").raise_for_status()
    yield f"http://{host}:{port}"
    server.stop()


class Server:
    """A double that runs pods in one namespace, the containers that they run, and what a test asks of them."""

    def __init__(self, double: Double, api: Api, namespace: str, running: Containers, storage: str) -> None:
        self.double = double
        self.api = api
        self.namespace = namespace
        self.containers = running
        self._storage = storage

    def create(self, spec: dict[str, Any], account: str = ACCOUNT, **parameters: Any) -> str:
        body = {
            "display_name": "test",
            "pipeline_spec": spec,
            "service_account": account,
            "runtime_config": {"parameters": parameters},
        }
        return str(self._runs().run_service_create_run(body).run_id)

    def get(self, run_id: str) -> Any:
        return self._runs().run_service_get_run(run_id)

    def terminate(self, run_id: str) -> None:
        self._runs().run_service_terminate_run(run_id)

    def until(self, run_id: str, *states: str) -> Any:
        wanted = states or ("SUCCEEDED", "FAILED", "CANCELED")
        return eventually(lambda: run if (run := self.get(run_id)).state in wanted else None, PATIENCE)

    def kept(self, run_id: str) -> dict[str, Any]:
        return next(run for run in self.double.runs() if run["id"] == run_id)

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        return {task["name"]: task for task in self.kept(run_id)["tasks"]}

    def pods(self, run_id: str, kind: str = "executor") -> list[dict[str, Any]]:
        labels = f"{pods.LABEL_RUN}={run_id},{pods.LABEL_KIND}={kind}"
        found = self.api.list("v1", "Pod", self.namespace, labels=labels)
        return sorted(found, key=lambda pod: int(pod["metadata"]["labels"].get(pods.LABEL_ATTEMPT, 0)))

    def says(self, run_id: str, text: str) -> dict[str, Any]:
        """The run's newest pod, once its log holds the text."""

        def said() -> dict[str, Any] | None:
            pod = next(reversed(self.pods(run_id)), None)
            try:
                return pod if pod and text in self.containers.log(pod["metadata"]["name"]) else None
            except FileNotFoundError:
                return None

        return eventually(said, PATIENCE)

    def object(self, uri: str) -> bytes:
        store = S3Store(
            BUCKET,
            endpoint=self._storage,
            region="us-east-1",
            access_key_id=KEYS["accesskey"],
            secret_access_key=KEYS["secretkey"],
            client_options={"allow_http": True},
        )
        return bytes(obstore.get(store, uri.removeprefix(f"minio://{BUCKET}/")).bytes())

    def _runs(self) -> Any:
        client = kfp_server_api.ApiClient(kfp_server_api.Configuration(host=self.double.url))
        return kfp_server_api.RunServiceApi(client)


def _allow(api: Api, namespace: str) -> None:
    """The ServiceAccount of runs with what KFP's own parts of a step need, and the Secret."""
    home = {"namespace": namespace}
    group = "rbac.authorization.k8s.io"
    data = {key: base64.b64encode(value.encode()).decode() for key, value in KEYS.items()}
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [pods.SECRET], "verbs": ["get"]}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, **home}})
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": pods.SECRET, **home}, "data": data})
    api.create(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": ACCOUNT, **home}, "rules": [rule]},
    )
    api.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT, **home},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, **home}],
        }
    )


@pytest.fixture
def make_server(
    api: Api, kubeconfig: Path, namespace: str, storage: str, tmp_path: Path
) -> Iterator[Callable[..., Server]]:
    """`make_server("--drivers")`: a double with further options, of this test alone."""
    if os.geteuid() != 0:
        unable("containers need root, for mounts")
    _allow(api, namespace)
    options = ["--pods", "--kubeconfig", str(kubeconfig), "--namespace", namespace, "--store-endpoint", storage]
    started: list[Double] = []
    with containers(api, kubeconfig, tmp_path / "containers", f"{pods.LABEL_RUN},{pods.LABEL_KIND}") as running:

        def make(*further: str) -> Server:
            double = Double(tmp_path / "kfp", [*options, "--pending", "0.1", "--grace", "2", *further])
            double.start()
            started.append(double)
            return Server(double, api, namespace, running, storage)

        yield make
        for double in started:
            double.stop()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server()


def test_components_hand_on_parameters_artifacts_and_metadata_through_the_store(server: Server) -> None:
    run_id = server.create(json_format.MessageToDict(talk.pipeline_spec), word="good $$ morning")
    assert server.until(run_id).state == "SUCCEEDED", server.kept(run_id)
    tasks = server.tasks(run_id)
    # The kubelet takes `$$` in a command for an escaped `$`, on a real installation as here.
    assert tasks["repeat"]["outputs"] == {"Output": f"good $ morning {run_id} 14 good $ morning"}
    address = tasks["say"]["artifacts"]["text"]
    assert address == f"minio://{BUCKET}/v2/artifacts/talk/{run_id}/say/{tasks['say']['id']}/text"
    assert server.object(address) == f"good $ morning {run_id}".encode()
    assert [task.child_tasks[0].pod_name for task in server.get(run_id).run_details.task_details] == [
        tasks["say"]["pods"][0],
        tasks["repeat"]["pods"][0],
    ]
    for pod in server.pods(run_id):
        assert pod["spec"]["serviceAccountName"] == ACCOUNT
        assert KEYS["secretkey"] not in json.dumps(pod)


def test_a_failed_component_fails_in_the_words_of_the_real_one_and_is_tried_again_in_a_new_pod(server: Server) -> None:
    run_id = server.create(shell("echo no such column; exit 10", retries=1))
    run = server.until(run_id)
    (task,) = run.run_details.task_details
    assert (run.state, task.state, task.error.message) == ("FAILED", "FAILED", "main: Error (exit code 1)")
    names = [pod["metadata"]["name"] for pod in server.pods(run_id)]
    assert names == server.tasks(run_id)["shell"]["pods"]
    assert len(set(names)) == 2
    assert "failed to execute component: exit status 10" in server.containers.log(names[1])


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_a_pod_that_is_taken_away_is_made_again(server: Server, how: str) -> None:
    run_id = server.create(shell("echo here; sleep 600", retries=1))
    first = server.says(run_id, "here")["metadata"]["name"]
    if how == "deleted":
        server.api.delete("v1", "Pod", first, server.namespace)
    else:
        away = {"sim/pod-reason": "Evicted", "sim/exit-code": "137", "sim/run-ms": "0"}
        server.api.merge("v1", "Pod", first, {"metadata": {"annotations": away}}, server.namespace)
    second = eventually(lambda: names if len(names := server.tasks(run_id)["shell"]["pods"]) == 2 else None, PATIENCE)
    assert second[0] == first
    assert server.get(run_id).state == "RUNNING"


def test_a_terminated_component_gets_the_signal_and_the_run_is_canceled_when_the_pod_is_gone(server: Server) -> None:
    run_id = server.create(shell("trap 'echo tidied; exit 30' TERM; echo here; while :; do sleep 0.05; done"))
    pod = server.says(run_id, "here")["metadata"]["name"]
    server.terminate(run_id)
    assert server.until(run_id).state == "CANCELED"
    assert server.pods(run_id) == []
    eventually(lambda: "tidied" in server.containers.log(pod))


def test_pods_outlive_the_double_and_are_found_again(server: Server) -> None:
    run_id = server.create(shell("echo here; sleep 3"))
    server.says(run_id, "here")
    server.double.kill()
    time.sleep(4)  # it ends while nobody looks
    server.double.start()
    assert server.until(run_id).state == "SUCCEEDED"
    assert server.tasks(run_id)["shell"]["attempts"] == 1


def test_a_pod_whose_image_is_missing_keeps_its_run_waiting(
    server: Server, simulate: Callable[..., None], api: Api
) -> None:
    simulate(server.namespace, "other", waiting="ImagePullBackOff")
    run_id = server.create(shell("exit 0"))

    def waits() -> bool:
        (pod,) = server.pods(run_id)
        return bool(pod["status"]["containerStatuses"][0]["state"]["waiting"])

    eventually(lambda: _none_of(KeyError, waits), PATIENCE)
    assert server.get(run_id).state == "RUNNING"
    (pod,) = server.pods(run_id)
    away = {"metadata": {"annotations": {"sim/waiting": None}}}
    api.merge("v1", "Pod", pod["metadata"]["name"], away, server.namespace)
    assert server.until(run_id).state == "SUCCEEDED"


def test_a_pod_that_nobody_may_create_fails_the_run(server: Server) -> None:
    run_id = server.create(shell("exit 0", retries=3), account="nobody")
    run = server.until(run_id)
    assert run.state == "FAILED"
    assert "nobody" in run.run_details.task_details[0].error.message
    assert server.pods(run_id) == []


def test_secrets_reach_the_component_by_reference_alone(server: Server, namespace: str) -> None:
    key = base64.b64encode(b"open sesame").decode()
    server.api.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "door", "namespace": namespace}, "data": {"k": key}}
    )
    wanted = {"secretName": "door", "keyToEnv": [{"secretKey": "k", "envVar": "WORD"}]}
    platform = {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-shell": {"secretAsEnv": [wanted]}}}}}
    }
    spec = shell('test "${#WORD}" = 11')
    run_id = server.create({"pipeline_spec": spec, "platform_spec": platform})
    assert server.until(run_id).state == "SUCCEEDED", server.kept(run_id)
    assert "sesame" not in json.dumps(server.pods(run_id))


def test_drivers_are_pods_before_each_task_and_before_the_first(make_server: Callable[..., Server]) -> None:
    server = make_server("--drivers")
    run_id = server.create(json_format.MessageToDict(talk.pipeline_spec))
    assert server.until(run_id).state == "SUCCEEDED", server.kept(run_id)
    found = [len(server.pods(run_id, kind)) for kind in ("root", "driver", "executor")]
    assert found == [1, 2, 2]
    task = server.tasks(run_id)["repeat"]
    resolved = json.loads(
        server.object(f"minio://{BUCKET}/v2/artifacts/talk/{run_id}/repeat/{task['id']}/executor_input.json")
    )
    assert resolved["inputs"]["parameterValues"] == {"length": "5"}


def test_the_first_step_of_an_example_prepares_its_data_in_a_pod(server: Server) -> None:
    run_id = server.create(yaml.safe_load(PENGUINS.read_text()), base=str(EXAMPLE))
    eventually(lambda: server.tasks(run_id).get("data", {}).get("state") in ("SUCCEEDED", "FAILED"), PATIENCE)
    data = server.tasks(run_id)["data"]
    assert data["state"] == "SUCCEEDED", server.containers.log(data["pods"][0])
    manifest = json.loads(server.object(f"{data['artifacts']['prepared_data']}/manifest.json"))
    assert manifest["signature"]["target"] == "Body Mass (g)"
    assert data["metadata"]["prepared_data"]["digest"] == manifest["digest"]
    server.terminate(run_id)
    server.until(run_id)


def _none_of(error: type[Exception], ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except (error, ValueError):
        return False
