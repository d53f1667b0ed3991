"""The node computes: pods run to their end, are found by name, reach each other and the API, and die as they should."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.cluster.tier.api import Api
from tests.cluster.tier.binaries import KUBERNETES
from tests.cluster.waiting import eventually
from tests.node.conftest import Node
from tests.node.pods import PATIENCE, Manifest, ended, pod, ready, state, template
from tests.node.tier.archives import pause_program

Kubectl = Callable[..., subprocess.CompletedProcess[str]]
Logs = Callable[..., str]
Run = Callable[..., tuple[Manifest, str]]


@pytest.fixture
def run(api: Api, namespace: str, busybox: str, logs: Logs) -> Run:
    """`run("echo hello")`: a pod that runs a shell script to its end, and what it printed."""

    def to_the_end(script: str, memory: str = "64Mi") -> tuple[Manifest, str]:
        name = api.create(pod("one", namespace, busybox, "sh", "-c", script, memory=memory))["metadata"]["name"]
        found = ended(api, namespace, name)
        return found, logs(namespace, name)

    return to_the_end


@pytest.fixture
def web(api: Api, namespace: str, busybox: str) -> str:
    """Two pods behind the Service `web`; each answers with its own name."""
    script = "mkdir /tmp/web && hostname >/tmp/web/index.html && exec httpd -f -p 8080 -h /tmp/web"
    spec = template(busybox, ["sh", "-c", script])
    spec["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    labels = {"app": "web"}
    home = {"name": "web", "namespace": namespace}
    api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": home,
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )
    ports = [{"port": 80, "targetPort": 8080}]
    api.create({"apiVersion": "v1", "kind": "Service", "metadata": home, "spec": {"selector": labels, "ports": ports}})
    eventually(lambda: api.get("apps/v1", "Deployment", "web", namespace)["status"].get("readyReplicas") == 2, PATIENCE)
    return "web"


def test_the_node_is_ready(api: Api) -> None:
    (node,) = api.list("v1", "Node")
    assert api.condition(node, "Ready")["status"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{KUBERNETES}"
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")


def test_a_pod_runs_to_its_end_and_its_words_are_kept(run: Run) -> None:
    found, said = run("id; echo trained >/dev/termination-log")
    assert found["status"]["phase"] == "Succeeded"
    assert said.startswith("uid=65532")
    assert state(found)["terminated"]["message"] == "trained\n"


def test_a_pod_that_fails_tells_its_code(run: Run) -> None:
    found, said = run("echo no such column; exit 10")
    assert found["status"]["phase"] == "Failed"
    assert state(found)["terminated"]["exitCode"] == 10
    assert said == "no such column\n"


def test_pods_of_a_service_answer_another_pod_by_name(web: str, run: Run) -> None:
    # kube-proxy hears of the pods a moment after they are ready
    told = f"until pause get http://{web} >/dev/null 2>&1; do sleep 1; done; sleep 1"
    asking = f"{told}; for i in $(seq 20); do pause get http://{web}; done"
    found, said = run(asking)
    assert found["status"]["phase"] == "Succeeded", said
    assert len(set(said.split())) == 2


def test_a_service_answers_the_machine_inside_the_network(web: str, api: Api, node: Node, namespace: str) -> None:
    address = api.get("v1", "Service", web, namespace)["spec"]["clusterIP"]
    assert eventually(lambda: _asked(node, f"http://{address}"), PATIENCE).startswith("web-")
    by_proxy = api.request("GET", f"/api/v1/namespaces/{namespace}/services/{web}:80/proxy/")
    assert by_proxy.startswith("web-")


def test_names_are_found_and_those_of_nobody_are_not(run: Run) -> None:
    found, said = run("nslookup kubernetes.default.svc.cluster.local && ! nslookup example.com && echo as it should be")
    assert found["status"]["phase"] == "Succeeded", said
    assert "10.96.0.1" in said
    assert "NXDOMAIN" in said


def test_a_pod_reaches_the_api_with_its_token(run: Run) -> None:
    found, said = run("pause get https://kubernetes.default/version")
    assert found["status"]["phase"] == "Succeeded", said
    assert f"v{KUBERNETES}" in said


def test_commands_run_in_a_pod_and_logs_are_followed(api: Api, namespace: str, busybox: str, kubectl: Kubectl) -> None:
    api.create(pod("long", namespace, busybox, "sh", "-c", "echo begun; sleep 5; echo over"))
    ready(api, namespace, "long")
    assert kubectl("exec", "-n", namespace, "long", "--", "hostname").stdout == "long\n"
    assert kubectl("logs", "-n", namespace, "long", "--follow").stdout == "begun\nover\n"


def test_a_missing_image_is_told(api: Api, namespace: str, busybox: str) -> None:
    api.create(pod("missing", namespace, f"{busybox.partition('@')[0]}-of-nobody:1", "true"))
    reasons: set[str] = set()

    def told() -> bool:
        statuses = api.get("v1", "Pod", "missing", namespace)["status"].get("containerStatuses", [])
        reasons.update(status["state"].get("waiting", {}).get("reason") for status in statuses)
        return reasons >= {"ErrImagePull", "ImagePullBackOff"}

    eventually(told, PATIENCE)


def test_a_pod_that_takes_too_much_memory_is_killed(run: Run) -> None:
    found, _ = run("tail /dev/zero", memory="32Mi")
    assert state(found)["terminated"] | {"reason": "OOMKilled", "exitCode": 137} == state(found)["terminated"]


def test_an_evicted_pod_says_so(api: Api, namespace: str, busybox: str) -> None:
    created = pod("evicted", namespace, busybox, "sleep", "600")
    created["metadata"]["finalizers"] = ["runwright.test/kept"]  # or it would be gone before it is looked at
    api.create(created)
    ready(api, namespace, "evicted")
    home = {"name": "evicted", "namespace": namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": home}
    api.request("POST", f"/api/v1/namespaces/{namespace}/pods/evicted/eviction", eviction)
    found = ended(api, namespace, "evicted")
    assert api.condition(found, "DisruptionTarget")["reason"] == "EvictionByEvictionAPI"
    api.merge("v1", "Pod", "evicted", {"metadata": {"finalizers": None}}, namespace)


def test_more_than_the_node_has_waits(api: Api, namespace: str, busybox: str) -> None:
    wanted = pod("greedy", namespace, busybox, "true")
    wanted["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    api.create(wanted)
    eventually(
        lambda: (
            api.condition(api.get("v1", "Pod", "greedy", namespace), "PodScheduled").get("reason") == "Unschedulable"
        ),
        PATIENCE,
    )


def _asked(node: Node, url: str) -> str:
    """What a server answers this machine; empty while kube-proxy has not heard of it."""
    try:
        return node.run(str(pause_program()), "get", url)
    except RuntimeError:
        return ""
