"""The commands against a real API server. The status is written as the operator writes it, by its subresource."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cluster.tier.api import Api
from tests.cluster.tier.certificates import Authority
from tests.cluster.tier.processes import Process
from tests.cluster.waiting import eventually
from tests.doubles.kubelet import Kubelet, kubelet
from tests.doubles.runs.objects import NAME, condition, revision, run, status

KIND = ("runwright.dev/v1alpha1", "TrainingRun")
RUN = {"id": "0b1c", "attempt": "penguins-1-r2-a1", "url": "http://kubeflow/#/runs/0b1c"}
SERVING = (condition("Ready", "True", "Serving", "it serves"), condition("Reconciling", "False"))
UNDER_WAY = (
    condition("Ready", "False", "InProgress", "revision 2 is being made; revision 1 keeps serving"),
    condition("Reconciling", "True", "InProgress", "revision 2 is being made"),
)
FAILURE = {
    "stage": "train",
    "reason": "OOMKilled",
    "message": "it needs more than 8Gi",
    "pod": "penguins-r2-worker-0",
    "exitCode": 137,
    "log": ["epoch 3", "Killed"],
    "logUri": "s3://logs/r2",
}

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(kubeconfig: Path, namespace: str) -> Callable[..., list[str]]:
    def build(*arguments: str, config: Path = kubeconfig) -> list[str]:
        where = ["--kubeconfig", str(config), "-n", namespace]
        return [sys.executable, "-m", "runwright_cli", *arguments, *where]

    return build


@pytest.fixture
def cli(command: Callable[..., list[str]]) -> Cli:
    """`cli("watch", "penguins")`: the finished command; output that it has on both streams is in stdout."""

    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments, **options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )

    return call


@pytest.fixture
def started(command: Callable[..., list[str]]) -> Iterator[Callable[..., Running]]:
    """`started("watch", "penguins")`: the command while it runs."""
    running: list[Running] = []

    def start(*arguments: str) -> Running:
        running.append(Running(command(*arguments)))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()


class Running:
    """A command that runs, and its lines as they come."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))

    def until(self, text: str, seconds: float = 120.0) -> str:
        """Wait for a line with `text`."""
        while True:
            try:
                self.lines.append(self._queue.get(timeout=seconds))
            except queue.Empty:
                pytest.fail(f"no {text!r} in {self.lines}")
            if text in self.lines[-1]:
                return self.lines[-1]

    def ended(self, seconds: float = 120.0) -> int:
        return self.process.wait(seconds)


@pytest.fixture
def put(api: Api, namespace: str) -> Callable[[dict[str, Any]], None]:
    """Write a status, for the generation that is there."""

    def write(found: dict[str, Any]) -> None:
        generation = api.get(*KIND, NAME, namespace)["metadata"]["generation"]
        kept = {"progress": None, "failure": None, "serving": None, **found, "observedGeneration": generation}
        api.merge(*KIND, NAME, {"status": kept}, namespace, subresource="status")

    return write


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(changes: dict[str, Any] | None = None, **metadata: Any) -> str:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(run(changes, **metadata)))
        return str(path)

    return write


def _spec(api: Api, namespace: str) -> dict[str, Any]:
    return dict(api.get(*KIND, NAME, namespace)["spec"])


def test_submit_creates_and_a_second_time_changes_nothing(
    cli: Cli, file: Callable[..., str], api: Api, namespace: str
) -> None:
    path = file()
    asked = cli("diff", path)
    assert (asked.returncode, asked.stdout) == (
        1,
        "a new TrainingRun: revision 1 trains, and serves if it passes the gate\n",
    )
    tried = cli("submit", path, "--dry-run")
    assert tried.returncode == 0
    assert api.find(*KIND, NAME, namespace) is None
    first = cli("submit", path)
    assert first.returncode == 0
    assert f"trainingrun penguins created in namespace {namespace}" in first.stdout
    assert _spec(api, namespace) == run()["spec"]
    second = cli("submit", path)
    assert "nothing: the cluster has this already" in second.stdout
    assert "trainingrun penguins unchanged" in second.stdout
    assert cli("diff", path).returncode == 0


def test_diff_says_what_each_change_means(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    path = file()
    cli("submit", path)
    put(status(revision(1), revision(2, of=run({"train.epochs": 30})), revision=1, serving=1, conditions=list(SERVING)))
    train = cli("diff", path, "--set", "spec.train.epochs=40")
    assert train.returncode == 1
    for part in ("spec.train.epochs: 20 -> 40", "revision 3 trains", "revision 1 keeps serving until"):
        assert part in train.stdout
    back = cli("diff", path, "--set", "spec.train.epochs=30")
    assert "goes back to revision 2 without training" in back.stdout
    gate = cli("diff", path, "--set", "spec.evaluate.gate[0].min=0.99", "-o", "json")
    assert gate.returncode == 1
    found = json.loads(gate.stdout)
    assert found["effects"] == ["judge"]
    assert "rejected: accuracy 0.95 is below the required 0.99" in found["sentences"][0]


def test_errors_of_diff_have_exit_code_2(cli: Cli, file: Callable[..., str], tmp_path: Path) -> None:
    path = file()
    assert cli("diff", str(tmp_path / "nowhere.yaml")).returncode == 2
    assert cli("diff", path, "--wrong").returncode == 2
    invalid = cli("diff", path, "--set", "spec.train.epochs=0")
    assert invalid.returncode == 2
    assert "spec.train.epochs" in invalid.stdout
    local = cli("diff", path, "--set", "spec.data.sources=[{path: data.csv}]")
    assert local.returncode == 2
    assert "spec.data.sources[0].path: data.csv is a path of this machine" in local.stdout
    assert "Traceback" not in local.stdout


def test_fields_of_others_are_told_and_taken_over_only_when_asked(
    cli: Cli, file: Callable[..., str], api: Api, namespace: str
) -> None:
    api.apply({**run({"train.epochs": 7, "train.batchSize": 32}), "metadata": {"name": NAME, "namespace": namespace}})
    path = file()
    asked = cli("diff", path)
    assert "runwright-test set spec.train.epochs to another value; submit needs --force-conflicts" in asked.stdout
    assert "note: spec.train.batchSize stays 32" in asked.stdout
    refused = cli("submit", path)
    assert refused.returncode == 1
    assert "cure: change it there, or take the fields over with --force-conflicts" in refused.stdout
    assert cli("submit", path, "--force-conflicts").returncode == 0
    assert _spec(api, namespace)["train"] == {
        "task": "tabular-classification",
        "epochs": 20,
        "batchSize": 32,
    }


def test_submit_waits_until_it_is_ready(
    started: Callable[..., Running], file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    path = file()
    running = started("submit", path, "--wait", "--timeout", "2m")
    running.until("created in namespace")
    training = revision(1, "Running", pipelineRun=RUN)
    progress = {"stage": "train", "percent": 42, "epoch": 3, "loss": 0.31, "summary": "train 42%"}
    put(status(training, progress=progress, conditions=list(UNDER_WAY)))
    assert running.until("42%").endswith("train     42%, epoch 3, loss 0.31")
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    running.until("penguins: Serving: it serves")
    assert running.ended() == 0


@pytest.mark.parametrize(("state", "reason", "code"), [("Failed", "OOMKilled", 1), ("Rejected", "GateRejected", 2)])
def test_waiting_ends_with_what_became_of_it(
    cli: Cli,
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    state: str,
    reason: str,
    code: int,
) -> None:
    path = file()
    cli("submit", path)
    stalled = [condition("Ready", "False", reason, "why"), condition("Stalled", "True", reason, "why")]
    failure = {"failure": FAILURE} if state == "Failed" else {}
    put(status(revision(1, state, **failure), conditions=stalled, **failure))
    ended = cli("submit", path, "--wait")
    assert ended.returncode == code
    if state == "Failed":
        for part in ("train failed: OOMKilled", "pod penguins-r2-worker-0, exit code 137", "| Killed", "s3://logs/r2"):
            assert part in ended.stdout


def test_waiting_gives_up(cli: Cli, file: Callable[..., str]) -> None:
    ended = cli("submit", file(), "--wait", "--timeout", "2s")
    assert ended.returncode == 124
    assert "not ready after 2 s" in ended.stdout


def test_watch_outlives_the_api_server(
    cli: Cli,
    started: Callable[..., Running],
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    processes: dict[str, Process],
) -> None:
    cli("submit", file())
    put(status(revision(1, "Running"), conditions=list(UNDER_WAY)))
    running = started("watch", NAME)
    running.until("Running")
    processes["kube-apiserver"].stop()
    running.until("trying again")
    processes["kube-apiserver"].start()
    running.until("the API server is back", 60)
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    running.until("it serves")
    assert running.ended() == 0


def test_watch_ends_with_ctrl_c_and_with_the_object(
    cli: Cli, started: Callable[..., Running], file: Callable[..., str], api: Api, namespace: str
) -> None:
    cli("submit", file())
    forever, first = started("watch", NAME, "--forever"), started("watch", NAME)
    eventually(lambda: all(one.process.poll() is None for one in (forever, first)), 5)
    api.merge(*KIND, NAME, {"status": status(revision(1, "Running"))}, namespace, subresource="status")
    first.until("Running")
    forever.until("Running")
    first.process.send_signal(signal.SIGINT)
    assert first.ended() == 130
    api.delete(*KIND, NAME, namespace)
    forever.until("was deleted")
    assert forever.ended() == 1


def test_history(cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]) -> None:
    cli("submit", file())
    assert "has no revision yet" in cli("history", NAME).stdout
    put(status(revision(1), revision(2, "Rejected"), revision(3, "Failed", failure=FAILURE), serving=1))
    table = cli("history", NAME)
    assert table.returncode == 0
    assert [line.split()[:3] for line in table.stdout.splitlines()[1:]] == [
        [">", "3", "Failed"],
        ["2", "Rejected", "Recipe"],
        ["*", "1", "Succeeded"],
    ]
    assert "train failed: OOMKilled" in cli("history", NAME, "--revision", "3").stdout
    found = json.loads(cli("history", NAME, "-o", "json").stdout)
    assert [item["number"] for item in found] == [3, 2, 1]
    assert yaml.safe_load(cli("history", NAME, "--revision", "1", "-o", "yaml").stdout)["serving"] is True
    missing = cli("history", NAME, "--revision", "9")
    assert missing.returncode == 1
    assert "revision 9 is not in the history" in missing.stdout


def test_rollback_pins_what_may_serve_and_unpins(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None], api: Api, namespace: str
) -> None:
    cli("submit", file())
    put(status(revision(1), revision(2, "Rejected"), revision(3), serving=3, conditions=list(SERVING)))
    refused = cli("rollback", NAME, "--to", "2")
    assert refused.returncode == 1
    assert "revision 2 cannot serve: the gate rejected it (✗ accuracy ≥ 0.9: 0.8)" in refused.stdout
    assert cli("rollback", NAME, "--dry-run").returncode == 0
    assert "deploy" not in _spec(api, namespace)
    done = cli("rollback", NAME)
    assert (done.returncode, done.stdout) == (
        0,
        "revision 1 of penguins serves instead of revision 3, without training; `--unpin` undoes it\n",
    )
    assert _spec(api, namespace)["deploy"] == {"revision": 1}
    assert "spec.deploy.revision stays 1" in cli("diff", file()).stdout
    assert "is no longer pinned" in cli("rollback", NAME, "--unpin").stdout
    assert "revision" not in _spec(api, namespace).get("deploy", {})
    assert "is not pinned" in cli("rollback", NAME, "--unpin").stdout


def test_rollback_waits_until_that_revision_serves(
    cli: Cli, started: Callable[..., Running], file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    cli("submit", file())
    put(status(revision(1), revision(2), serving=2, conditions=list(SERVING)))
    running = started("rollback", NAME, "--wait")
    running.until("revision 1 of penguins serves instead of")
    put(status(revision(1), revision(2), serving=1, conditions=list(SERVING)))
    running.until("penguins: revision 1 serves")
    assert running.ended() == 0


def test_rollback_warns_where_git_is_the_source_of_truth(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    cli("submit", file(annotations={"argocd.argoproj.io/tracking-id": "zoo"}))
    put(status(revision(1), revision(2), serving=2))
    done = cli("rollback", NAME)
    assert done.returncode == 0
    assert "warning: Argo CD manages penguins and may put spec.deploy.revision back" in done.stdout
    assert "revert the commit in git instead" in done.stdout


def test_retrain_leaves_the_spec_alone_and_waits_for_the_new_revision(
    cli: Cli,
    started: Callable[..., Running],
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    api: Api,
    namespace: str,
) -> None:
    cli("submit", file())
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    before = api.get(*KIND, NAME, namespace)
    running = started("retrain", NAME, "--wait")
    running.until("revision 2 of penguins trains")
    after = eventually(lambda: _annotated(api, namespace, "runwright.dev/retrain"))
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    first = after["metadata"]["annotations"]["runwright.dev/retrain"]
    put(status(revision(1), revision(2, "Running", trigger="Request", request=first), conditions=list(UNDER_WAY)))
    running.until("revision 2 (Request): Running")
    assert running.process.poll() is None
    put(status(revision(1), revision(2, trigger="Request"), serving=2, conditions=list(SERVING)))
    assert running.ended() == 0
    assert cli("retrain", NAME).returncode == 0
    assert (
        _annotated(api, namespace, "runwright.dev/retrain")["metadata"]["annotations"]
        != after["metadata"]["annotations"]
    )


def _annotated(api: Api, namespace: str, key: str) -> dict[str, Any]:
    found = api.get(*KIND, NAME, namespace)
    return found if key in found["metadata"].get("annotations", {}) else {}


def test_cancel_names_the_revision_that_runs(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None], api: Api, namespace: str
) -> None:
    cli("submit", file())
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    assert "no revision of penguins is running" in cli("cancel", NAME).stdout
    put(status(revision(1), revision(2, "Running"), serving=1, conditions=list(UNDER_WAY)))
    assert cli("cancel", NAME, "--revision", "1").returncode == 1
    done = cli("cancel", NAME)
    assert done.stdout == "revision 2 of penguins is being cancelled; revision 1 keeps serving\n"
    annotations = api.get(*KIND, NAME, namespace)["metadata"]["annotations"]
    assert annotations["runwright.dev/cancel"] == "2"


def test_a_missing_right_is_named(
    cli: Cli,
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    api: Api,
    namespace: str,
    as_account: Callable[[str, str], Path],
) -> None:
    path = file()
    cli("submit", path)
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    _reader(api, namespace)
    config = as_account(namespace, "reader")
    assert cli("watch", NAME, config=config).returncode == 0
    refused = cli("submit", path, "--set", "spec.train.epochs=30", config=config)
    assert refused.returncode == 1
    right = f"you lack the right to patch trainingruns.runwright.dev in namespace {namespace}"
    assert f"error: {right}" in refused.stdout
    compared = cli("diff", path, "--set", "spec.train.epochs=30", config=config)
    assert compared.returncode == 1
    assert "revision 2 trains" in compared.stdout
    assert f"{right}, so this compares the file itself with the cluster" in compared.stdout


def _reader(api: Api, namespace: str) -> None:
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["runwright.dev"], "resources": ["trainingruns"], "verbs": ["get", "list", "watch"]}]
    metadata = {"name": "reader", "namespace": namespace}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    api.create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    api.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
        }
    )


def test_a_token_that_is_no_good(cli: Cli, kubeconfig: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": "expired"}
    path = tmp_path / "expired"
    path.write_text(yaml.safe_dump(config))
    refused = cli("watch", NAME, config=path)
    assert refused.returncode == 1
    assert "does not accept the credentials of context" in refused.stdout
    assert "cure: they may have expired: log in again" in refused.stdout


def test_names_are_completed_from_the_cluster(
    cli: Cli, file: Callable[..., str], kubeconfig: Path, namespace: str
) -> None:
    cli("submit", file())
    words = f"runwright watch --kubeconfig {kubeconfig} -n {namespace} pen"
    answer = subprocess.run(
        [sys.executable, "-m", "runwright_cli"],
        env={**os.environ, "_RUNWRIGHT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "6"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout == "plain,penguins\n"


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


def test_a_name_that_is_not_there_brings_a_near_one(cli: Cli, file: Callable[..., str], namespace: str) -> None:
    assert "cure: the namespace has none; choose another with -n" in cli("watch", NAME).stdout
    cli("submit", file())
    missing = cli("history", "pengiuns")
    assert missing.returncode == 1
    assert missing.stdout == (
        f"error: there is no TrainingRun pengiuns in namespace {namespace}\n  cure: did you mean penguins?\n"
    )
