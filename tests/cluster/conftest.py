"""A cluster for the session: the one that RUNWRIGHT_TEST_KUBECONFIG names, else a tier of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from tests.cluster.step_cases import Case, case
from tests.cluster.tier import kubeconfig as kubeconfigs
from tests.cluster.tier.api import Api, Refused
from tests.cluster.tier.binaries import GO_NEEDED, binary, present
from tests.cluster.tier.cluster import Tier, refusal
from tests.cluster.tier.peers import JOB_SET, KUBERAY, TRAINER, Peer
from tests.cluster.tier.processes import Process, run_again
from tests.machine import unable

GIVEN = "RUNWRIGHT_TEST_KUBECONFIG"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}


class Cluster(Protocol):
    """What a test may ask of the cluster, ours or a given one."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def api(self) -> Api: ...

    @property
    def processes(self) -> dict[str, Process]:
        """Those of a tier of our own by name, kube-apiserver and so on; empty for a given cluster."""


@dataclass
class GivenCluster:
    """A cluster that somebody else runs."""

    kubeconfig: Path
    processes: dict[str, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api.from_kubeconfig(self.kubeconfig)


@pytest.fixture(scope="session")
def tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster. Where it cannot start: skipped with the reason, or failed under RUNWRIGHT_REQUIRE=all."""
    if given := os.environ.get(GIVEN):
        yield GivenCluster(Path(given))
        return
    if reason := refusal():
        unable(reason)
    with Tier.start(tmp_path_factory.mktemp("tier")) as started:
        yield started


@pytest.fixture(scope="session")
def kubeconfig(tier: Cluster) -> Path:
    """The administrator's kubeconfig."""
    return tier.kubeconfig


@pytest.fixture(scope="session")
def api(tier: Cluster) -> Api:
    return tier.api


def with_peers(tier: Cluster, kind: tuple[str, str], *wanted: Peer) -> None:
    """Have the controllers run; of a given cluster, nothing is known but whether it has the kind."""
    if isinstance(tier, Tier):
        if any(not present(peer.name) for peer in wanted) and shutil.which("go") is None:
            unable(GO_NEEDED)
        tier.add(*wanted)
        return
    try:
        tier.api.path(*kind)
    except (LookupError, Refused):
        unable(f"the cluster that {GIVEN} names has no {kind[1]} of {kind[0]}")


@pytest.fixture(scope="session")
def trainer(tier: Cluster) -> None:
    """Kubeflow Trainer 2 and JobSet run in the cluster."""
    with_peers(tier, ("trainer.kubeflow.org/v1alpha1", "TrainJob"), JOB_SET, TRAINER)


@pytest.fixture(scope="session")
def kuberay(tier: Cluster) -> None:
    """KubeRay runs in the cluster."""
    with_peers(tier, ("ray.io/v1", "RayJob"), KUBERAY)


@pytest.fixture
def processes(tier: Cluster) -> Iterator[dict[str, Process]]:
    """The tier's processes, to stop, kill, pause and start again; whatever a test did, all run when it ends."""
    if not tier.processes:
        pytest.skip(f"{GIVEN} names a cluster whose processes are not ours to stop")
    yield tier.processes
    run_again(tier.processes.values())


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A fresh namespace that enforces Pod Security `restricted`, deleted afterwards."""
    name = f"rw-test-{uuid.uuid4().hex[:8]}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    yield name
    api.delete("v1", "Namespace", name)


@pytest.fixture
def simulate(api: Api) -> Callable[..., None]:
    """`simulate(namespace, "training", run_ms=500, exit_code=10)`: how pods made from now on behave.

    Whom: `training` (every pod of a PyTorchJob), `training-worker-1` (that replica), `serving`. None takes a key back.
    The keys are those of tier/pod_stages.yaml."""

    def say(namespace: str, whom: str, **how: object) -> None:
        keys = {f"sim.{whom}/{key.replace('_', '-')}": value for key, value in how.items()}
        annotations = {key: None if value is None else str(value) for key, value in keys.items()}
        api.merge("v1", "Namespace", namespace, {"metadata": {"annotations": annotations}})

    return say


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`kubectl("get", "pods", "-n", namespace)`; `given` is its standard input, `check=False` lets it fail."""

    def run(*arguments: str, given: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(binary("kubectl")), "--kubeconfig", str(kubeconfig), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120)
        if check and done.returncode:
            pytest.fail(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done

    return run


@pytest.fixture
def as_account(api: Api, kubeconfig: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """`as_account(namespace, name)`: a kubeconfig with a fresh token of that ServiceAccount, its rights and no more."""

    def issue(namespace: str, name: str) -> Path:
        config = kubeconfigs.for_token(yaml.safe_load(kubeconfig.read_text()), api.token(namespace, name))
        return kubeconfigs.write(tmp_path / f"{namespace}-{name}.kubeconfig", config)

    return issue


@pytest.fixture
def smallest() -> Callable[[str, str], dict[str, Any]]:
    """`smallest(namespace, name)`: the smallest TrainingRun that is one."""

    def build(namespace: str, name: str) -> dict[str, Any]:
        return {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "data": {"sources": [{"path": "data/penguins.csv"}]},
                "prepare": {"target": "species"},
                "train": {"task": "tabular-classification"},
            },
        }

    return build


@pytest.fixture
def churn(
    api: Api,
    namespace: str,
    tmp_path: Path,
    smallest: Callable[[str, str], dict[str, Any]],
    as_account: Callable[[str, str], Path],
) -> Iterator[Case]:
    """The smallest TrainingRun in the cluster, for a step to work on with the rights of its account."""
    with case(api, namespace, tmp_path, smallest(namespace, "churn"), as_account) as found:
        yield found
