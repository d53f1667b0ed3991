"""The chart, installed, upgraded and uninstalled by the real Helm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.installing import CRD, Site, claimed
from tests.cluster.waiting import eventually
from tests.golden.rendering import CHART

OWNERSHIP = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")


@pytest.fixture
def site(kubeconfig: Path, tmp_path: Path) -> Iterator[Site]:
    with claimed(kubeconfig, tmp_path) as found:
        yield found


@pytest.fixture
def crd_given_back(kubeconfig: Path, site: Site) -> Iterator[None]:
    """The definition is shared by all tests: it loses the marks of the release that took it over."""
    yield
    site.kubectl("annotate", "crd", CRD, "helm.sh/resource-policy-", *(f"{mark}-" for mark in OWNERSHIP))
    site.kubectl("label", "crd", CRD, "app.kubernetes.io/managed-by-")


def cluster_wide(site: Site, **values: Any) -> dict[str, Any]:
    """As by default, but for the policy that would stop other tests' operators from writing status."""
    return site.values(policies={"status": False}, **values)


def pods_of(site: Site) -> list[dict[str, Any]]:
    return site.list("pods", site.name)


def test_every_object_is_admitted_and_so_are_the_pods(site: Site) -> None:
    site.install(cluster_wide(site, replicas=2))
    pods = eventually(lambda: (found := pods_of(site)) and len(found) == 2 and found)
    for pod in pods:
        assert pod["spec"]["serviceAccountName"] == f"{site.name}-operator"
        mounted = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
        assert "/var/run/secrets/kubernetes.io/serviceaccount" in mounted
    failed = [event for event in site.list("events", site.name) if event["reason"] == "FailedCreate"]
    assert failed == []
    assert site.get("serviceaccount", f"{site.name}-run", site.team)
    assert site.get("rolebinding", f"{site.name}-run", site.team)["roleRef"]["kind"] == "ClusterRole"


def test_multi_user_with_a_private_ca_is_admitted(site: Site) -> None:
    site.kubectl("create", "configmap", "company-ca", "--namespace", site.name, "--from-literal=ca.crt=none")
    pipelines = {"multiUser": True, "endpoint": "https://pipelines.example.com", "ca": {"configMap": "company-ca"}}
    site.install(cluster_wide(site, pipelines=pipelines))
    (pod,) = eventually(lambda: pods_of(site))
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    token = volumes["pipelines-token"]["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == "pipelines.kubeflow.org"


def test_an_upgrade_changes_what_was_asked_and_nothing_else(site: Site) -> None:
    site.install(cluster_wide(site, storage={"uri": "s3://models/a"}))
    before = site.get("deployment", f"{site.name}-operator", site.name)
    site.helm("upgrade", site.name, str(CHART), "--reuse-values")
    same = site.get("deployment", f"{site.name}-operator", site.name)
    assert same["metadata"]["generation"] == before["metadata"]["generation"]
    site.helm("upgrade", site.name, str(CHART), "--reuse-values", values={"replicas": 2, "log": {"level": "debug"}})
    after = site.get("deployment", f"{site.name}-operator", site.name)
    assert after["spec"]["replicas"] == 2
    env = {one["name"]: one.get("value") for one in after["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["RUNWRIGHT_LOG_LEVEL"] == "debug"
    assert env["RUNWRIGHT_STORAGE_URI"] == "s3://models/a"


@pytest.mark.usefixtures("crd_given_back")
def test_the_definition_is_upgraded_with_the_release_and_outlives_it(site: Site, tmp_path: Path) -> None:
    """From a chart with an older definition, over the present one, to nothing: TrainingRuns stay."""
    earlier = tmp_path / "earlier"
    shutil.copytree(CHART, earlier)
    file = earlier / "files/trainingruns.yaml"
    text = file.read_text("utf-8").replace("description: 'From raw data", "description: 'Earlier: from raw data", 1)
    assert "Earlier: from raw data" in text
    file.write_text(text)
    values = cluster_wide(site, crds={"install": True})

    site.install(values, chart=earlier)
    assert "Earlier:" in described(site)
    site.apply(site.training_run())
    born = site.get("trainingrun", "penguins", site.team)["metadata"]["uid"]

    site.install(values, verb="upgrade")
    assert "Earlier:" not in described(site)

    site.helm("uninstall", site.name)
    assert site.get("crd", CRD)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert site.get("trainingrun", "penguins", site.team)["metadata"]["uid"] == born
    assert site.run("kubectl", "get", "clusterrole", f"{site.name}-operator").returncode != 0

    site.install(values)
    assert site.get("trainingrun", "penguins", site.team)["metadata"]["uid"] == born


def described(site: Site) -> str:
    schema = site.get("crd", CRD)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return str(schema["description"])


def test_one_teams_own_operator_needs_no_right_over_the_cluster(site: Site) -> None:
    """A user with rights in the namespaces alone installs it."""
    rights = site.folder / "rights.yaml"
    rights.write_text("")
    for namespace in (site.name, site.team):
        site.kubectl(
            *("create", "rolebinding", "installer", "--clusterrole=cluster-admin", "--user=team-lead"),
            *("--namespace", namespace),
        )
    values = site.values(namespaces=[site.team], rbac={"aggregate": False}, policies={"enabled": False})
    site.helm("install", site.name, str(CHART), "--kube-as-user=team-lead", values=values)
    eventually(lambda: pods_of(site))
    for kind in ("clusterroles", "clusterrolebindings", "validatingadmissionpolicies"):
        assert f"{site.name}-operator" not in site.kubectl("get", kind, "-o", "name")
