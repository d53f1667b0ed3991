"""`runwright logs`, from a double of the kubelet behind the real API server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cluster.cli.commands import FAILURE, RUN, SERVING, UNDER_WAY, Cli, Running
from tests.cluster.tier.api import Api
from tests.cluster.tier.certificates import Authority
from tests.cluster.tier.processes import Process
from tests.doubles.kubelet import Kubelet, kubelet
from tests.doubles.runs.objects import NAME, revision, status


@pytest.fixture
def node(api: Api, kubeconfig: Path, tmp_path: Path, processes: dict[str, Process]) -> Iterator[Kubelet]:
    """A node whose kubelet is a double on this side of the tier's network."""
    server = urlsplit(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    with socket.create_connection((server.hostname or "", server.port or 443)) as probe:
        address = probe.getsockname()[0]
    Authority("kubelet").issue("kubelet", hosts=[address]).write(tmp_path, "kubelet")
    with kubelet(address, tmp_path / "kubelet.crt", tmp_path / "kubelet.key") as double:
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "talker"}})
        there = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": double.port}},
        }
        api.merge("v1", "Node", "talker", {"status": there}, subresource="status")
        yield double
        api.delete("v1", "Node", "talker")


def _pod(api: Api, namespace: str, name: str, labels: dict[str, str], *, ended: bool = False) -> None:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"runwright.dev/run": NAME, **labels}},
            "spec": {
                "nodeName": "talker",
                "tolerations": [{"operator": "Exists"}],
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{"name": "pytorch", "image": "example", "securityContext": security}],
            },
        }
    )
    _container(api, namespace, name, {"terminated": {"exitCode": 0}} if ended else {"running": {}})


def _container(api: Api, namespace: str, name: str, state: dict[str, Any]) -> None:
    told = {"name": "pytorch", "state": state, "restartCount": 0, "ready": True, "image": "x", "imageID": "x"}
    phase = "Running" if "running" in state else "Succeeded"
    content = {"status": {"phase": phase, "containerStatuses": [told]}}
    api.merge("v1", "Pod", name, content, namespace, subresource="status")


TRAIN = {"runwright.dev/revision": "1", "runwright.dev/stage": "train"}


def test_logs_of_several_pods_come_by_time(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None], api: Api, namespace: str, node: Kubelet
) -> None:
    cli("submit", file())
    put(status(revision(1, "Running"), conditions=list(UNDER_WAY)))
    for name in ("penguins-r1-master-0", "penguins-r1-worker-0"):
        _pod(api, namespace, name, TRAIN)
    _pod(api, namespace, "penguins-r9-master-0", {**TRAIN, "runwright.dev/revision": "9"})
    node.say("penguins-r1-master-0", "pytorch", "2026-01-01T00:00:01Z", "epoch 1")
    node.say("penguins-r1-worker-0", "pytorch", "2026-01-01T00:00:02Z", "rank 1 is here")
    node.say("penguins-r1-master-0", "pytorch", "2026-01-01T00:00:03Z", "epoch 2")
    assert cli("logs", NAME).stdout.splitlines() == [
        "penguins-r1-master-0/pytorch | epoch 1",
        "penguins-r1-worker-0/pytorch | rank 1 is here",
        "penguins-r1-master-0/pytorch | epoch 2",
    ]
    assert cli("logs", NAME, "--tail", "1", "--stage", "train").stdout.splitlines() == [
        "penguins-r1-worker-0/pytorch | rank 1 is here",
        "penguins-r1-master-0/pytorch | epoch 2",
    ]
    assert cli("logs", NAME, "--stage", "evaluate").returncode == 1


def test_logs_are_followed_until_the_run_is_over(
    cli: Cli,
    started: Callable[..., Running],
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    api: Api,
    namespace: str,
    node: Kubelet,
) -> None:
    cli("submit", file())
    put(status(revision(1, "Running"), conditions=list(UNDER_WAY)))
    running = started("logs", NAME, "--follow")
    _pod(api, namespace, "penguins-r1-master-0", TRAIN)
    node.say("penguins-r1-master-0", "pytorch", "2026-01-01T00:00:01Z", "epoch 1")
    running.until("penguins-r1-master-0/pytorch | epoch 1")
    node.say("penguins-r1-master-0", "pytorch", "2026-01-01T00:00:02Z", "epoch 2")
    running.until("epoch 2")
    _container(api, namespace, "penguins-r1-master-0", {"terminated": {"exitCode": 0}})
    node.end("penguins-r1-master-0", "pytorch")
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    assert running.ended(60) == 0


def test_when_the_pods_are_gone_what_was_kept_is_told(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    cli("submit", file())
    put(status(revision(1, "Failed", failure=FAILURE, pipelineRun=RUN)))
    kept = cli("logs", NAME)
    assert kept.returncode == 0
    for part in (
        "the pods of revision 1 are gone",
        "| Killed",
        "whole log: s3://logs/r2",
        "http://kubeflow/#/runs/0b1c",
    ):
        assert part in kept.stdout
