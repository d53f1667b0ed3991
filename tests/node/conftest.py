"""One node tier for the session, with the images built from this checkout, Kubeflow Pipelines' double and Runwright.

RUNWRIGHT_TEST_NODE names the state of a tier that stays (`python -m tests.node.tier env`); nothing is started then.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import RESTRICTED, as_account, kubectl  # noqa: F401
from tests.cluster.tier.api import Api
from tests.cluster.tier.binaries import binary
from tests.cluster.tier.processes import Process, run_again
from tests.cluster.waiting import eventually
from tests.doubles.kfp.process import Double
from tests.golden.rendering import CHART
from tests.machine import unable
from tests.node.team import Team
from tests.node.tier import s3, services
from tests.node.tier.archives import image, pause_program
from tests.node.tier.cluster import NodeTier
from tests.node.tier.place import GivenNode, Place, output

GIVEN = "RUNWRIGHT_TEST_NODE"
GIVEN_PIPELINES = "RUNWRIGHT_TEST_KFP_ENDPOINT"
ROOT = Path(__file__).parents[2]
SYSTEM = "runwright-system"
ACCOUNT = "runwright-run"
STORAGE_SECRET = "runwright-storage"

Node = NodeTier | GivenNode


def required() -> None:
    """Where the tier cannot run: skips with the reason, or fails under RUNWRIGHT_REQUIRE=all."""
    if reason := NodeTier.refusal():
        unable(reason)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The cluster. Where it cannot start: skipped with the reason, or failed under RUNWRIGHT_REQUIRE=all."""
    if given := os.environ.get(GIVEN):
        yield GivenNode(Path(given))
        return
    required()
    with NodeTier.start(tmp_path_factory.mktemp("node")) as started:
        yield started


@pytest.fixture(scope="session")
def kubeconfig(node: Node) -> Path:
    """The administrator's kubeconfig."""
    return node.kubeconfig


@pytest.fixture(scope="session")
def api(node: Node) -> Api:
    return node.api


@pytest.fixture
def processes(node: Node) -> Iterator[dict[str, Process]]:
    """The tier's processes, to stop, kill, pause and start again; whatever a test did, all run when it ends."""
    if not node.processes:
        pytest.skip(f"{GIVEN} names a tier whose processes are not ours to stop")
    yield node.processes
    run_again(node.processes.values())


@pytest.fixture(scope="session")
def busybox(node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small image with a shell, for tests of the tier itself."""
    return pushed_busybox(node, tmp_path_factory.mktemp("busybox"))


@pytest.fixture(scope="session")
def images(node: Node) -> dict[str, str]:
    """The images of this checkout in the tier's registry: name -> HOST:PORT/runwright/NAME@sha256:..."""
    command = [
        sys.executable,
        "components/images/build.py",
        *("operator", "components-python", "serve"),
        f"--push={node.registry}/runwright",
        "--insecure",
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # what it says goes where ours goes
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}")
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="session")
def kfp_options() -> tuple[str, ...]:
    """Further options of the double; see `python -m tests.doubles.kfp --help`."""
    return ()


@pytest.fixture(scope="session")
def kfp(
    node: Node, images: dict[str, str], kfp_options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Double]:
    """The double of Kubeflow Pipelines, in the cluster at ml-pipeline.kubeflow:8888, whose steps are real pods."""
    options = ["--pods", "--kubeconfig", str(node.kubeconfig), "--pending=0.2"]
    options += ["--host", node.address, "--port", str(services.PIPELINES_PORT)]
    options += ["--store-endpoint", node.s3.endpoint]
    options += ["--store-endpoint-in-pods", f"http://seaweedfs.{services.NAMESPACE}:{s3.PORT}"]
    options += kfp_options
    within = ("setpriv", "--pdeathsig=KILL", "--", *node.enter)
    double = Double(tmp_path_factory.mktemp("kfp"), options, within=within)
    double.start()
    yield double
    double.stop()


@pytest.fixture(scope="session")
def pipelines(request: pytest.FixtureRequest) -> str:
    """The address of Kubeflow Pipelines for the operator: a real one, where RUNWRIGHT_TEST_KFP_ENDPOINT names it and it
    works in the cluster that RUNWRIGHT_TEST_NODE names; else the double."""
    if given := os.environ.get(GIVEN_PIPELINES):
        return given
    request.getfixturevalue("kfp")
    return f"http://ml-pipeline.kubeflow:{services.PIPELINES_PORT}"


@pytest.fixture(scope="session")
def installed(node: Node, images: dict[str, str], pipelines: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Runwright by its chart, from its own image. Gives the namespace that it is installed in."""
    train = images["components-python"]
    values = {
        "image": _image(images["operator"]),
        "run": {
            "image": _image(train),
            "train": {"image": train, "cpu": "100m", "memory": "1Gi"},
            "serve": {"image": images["serve"], "cpu": "100m", "memory": "512Mi"},
        },
        "storage": {"uri": f"s3://{s3.MODELS}/models", "endpoint": node.s3.endpoint, "region": s3.REGION}
        | {"secret": STORAGE_SECRET},
        "pipelines": {"endpoint": pipelines},
        "relistSeconds": 60,
    }
    command = [str(binary("helm")), "upgrade", "--install", "runwright", str(CHART), "--take-ownership", "--wait"]
    command += ["--namespace", SYSTEM, "--create-namespace", "--kubeconfig", str(node.kubeconfig), "--timeout=5m"]
    output(["env", f"HOME={tmp_path_factory.mktemp('helm')}", *command, "--values", "-"], json.dumps(values).encode())
    return SYSTEM


@pytest.fixture
def namespace(node: Node) -> Iterator[str]:
    """A fresh namespace of users, deleted afterwards: Pod Security `restricted`, the account of steps with its rights,
    and the Secrets of the object store."""
    name = f"rw-test-{uuid.uuid4().hex[:8]}"
    make_home(node, name)
    yield name
    node.api.delete("v1", "Namespace", name)


@pytest.fixture
def team(node: Node, installed: str, namespace: str, tmp_path: Path) -> Team:
    """The namespace with an operator that looks after its TrainingRuns."""
    return Team(node, namespace, STORAGE_SECRET, tmp_path)


@pytest.fixture
def logs(node: Node) -> Callable[..., str]:
    """`logs(namespace, pod, container="...", previous=True)`: what a pod printed, as the API server has it from the
    kubelet."""

    def read(namespace: str, pod: str, **query: Any) -> str:
        given = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}
        return str(node.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query=given))

    return read


def pushed_busybox(node: Place, folder: Path) -> str:
    """Makes an image of this machine's busybox, with `pause` beside it, and pushes it. Gives its reference. Ask with
    `pause get URL`: the wget of a busybox that stands on a static glibc dies in its resolver."""
    program = shutil.which("busybox")
    if program is None:
        pytest.fail("busybox is not installed; Debian's package is busybox-static")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    files: dict[str, Path | str] = {f"bin/{name}": "busybox" for name in listed}
    files |= {"bin/busybox": Path(program), "bin/pause": pause_program()}
    archive = image(folder / "image.tar", "busybox:1", files, command=["/bin/sh"])
    return node.push(archive, "runwright/busybox:1")


def make_home(node: Node, name: str) -> None:
    """A namespace of users."""
    node.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    for manifest in _home(name):
        node.api.create(manifest)
    node.api.create(node.s3.storage_secret(STORAGE_SECRET, name))
    node.api.create(node.s3.artifact_secret(name))
    eventually(lambda: node.api.find("v1", "ServiceAccount", "default", name))


def _home(namespace: str) -> list[dict[str, Any]]:
    """The ServiceAccount of steps, and what the chart's notes say to bind it to."""
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": namespace}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT, "namespace": namespace},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        },
    ]


def _image(reference: str) -> dict[str, str]:
    repository, _, digest = reference.partition("@")
    return {"repository": repository, "digest": digest}
