"""As a user has it: `helm install`, `kubectl apply` of an example, `kubectl wait`.

The Deployment's pod is only simulated here, so the operator runs beside the cluster, with just what its pod is given:
the Deployment's environment, the token of its ServiceAccount, and no right more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cluster.installing import Site, claimed
from tests.cluster.operator.world import Cluster, free_port
from tests.cluster.tier import kubeconfig as kubeconfigs
from tests.cluster.tier.processes import Process
from tests.doubles.kfp.process import Double

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/penguins/cluster.yaml"


@pytest.fixture
def site(kubeconfig: Path, tmp_path: Path) -> Iterator[Site]:
    with claimed(kubeconfig, tmp_path) as found:
        yield found


def test_helm_install_and_kubectl_apply_end_ready(site: Site, cluster: Cluster, kfp: Double, tmp_path: Path) -> None:
    site.install(site.values(namespaces=[site.team], runNamespaces=[], pipelines={"endpoint": kfp.url}))
    kfp.script({"namespace": site.team, "metrics": {"r2": 0.9}})
    operator = _beside(site, cluster, tmp_path)
    operator.start(wait=60)
    try:
        site.kubectl("apply", "--namespace", site.team, "-f", str(EXAMPLE))
        site.kubectl("wait", "--namespace", site.team, "--for=condition=Ready", "trun/penguins", "--timeout=100s")
        row = site.kubectl("get", "trun", "penguins", "--namespace", site.team, "--no-headers")
        assert row.split()[:5] == ["penguins", "Serving", "1", "1", "r2"]
        service = site.get("inferenceservice", "penguins", site.team)
        assert service["metadata"]["labels"]["runwright.dev/run"] == "penguins"
        told = site.kubectl("explain", "trun.spec.train.epochs")
        assert "At most this many passes over the training split" in told
        site.kubectl("delete", "--namespace", site.team, "-f", str(EXAMPLE), "--timeout=60s")
    finally:
        operator.stop()
    assert "Forbidden" not in (tmp_path / "operator.log").read_text()


def _beside(site: Site, cluster: Cluster, folder: Path) -> Process:
    """The operator of the installed Deployment, as a process."""
    name = f"{site.name}-operator"
    (container,) = site.get("deployment", name, site.name)["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    config = kubeconfigs.for_token(cluster.config, cluster.api.token(site.name, name))
    port = free_port()
    environment = {
        **given,
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfigs.write(folder / "kubeconfig", config)),
        "RUNWRIGHT_POD_NAME": name,
        "RUNWRIGHT_POD_NAMESPACE": site.name,
        "RUNWRIGHT_HTTP_HOST": "127.0.0.1",
        "RUNWRIGHT_HTTP_PORT": str(port),
        "RUNWRIGHT_STORAGE_URI": (folder / "storage").as_uri(),
    }

    def ready() -> bool:
        return _answers(f"http://127.0.0.1:{port}/readyz")

    command = [sys.executable, "-m", "runwright_operator"]
    return Process("operator", command, log=folder / "operator.log", ready=ready, environment=environment)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
