"""The Kustomize folders, applied server-side by the real kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.installing import Site, claimed
from tests.cluster.waiting import eventually
from tests.golden.rendering import ROOT

HOME = "runwright-system"


@pytest.fixture
def site(kubeconfig: Path, tmp_path: Path) -> Iterator[Site]:
    with claimed(kubeconfig, tmp_path) as found:
        yield found


def folder(name: str) -> str:
    return str(ROOT / "manifests" / name)


@pytest.mark.parametrize("name", ["default", "overlays/multi-user", "overlays/namespaced"])
def test_every_object_would_be_admitted(site: Site, name: str) -> None:
    """A dry run on the server, under the names that the folders have."""
    for namespace in (HOME, "runwright"):
        site.run("kubectl", "create", "namespace", namespace)  # it may be there
    flags = ("--server-side", "--dry-run=server", "--force-conflicts", "--field-manager=a-test")
    printed = site.kubectl("apply", *flags, "-k", folder(name))
    assert len(printed.splitlines()) == len(list(yaml.safe_load_all(site.kubectl("kustomize", folder(name)))))


def renamed(site: Site, text: str) -> list[dict[str, Any]]:
    """The objects under the site's own names, less what all sites share."""
    text = text.replace(HOME, site.name).replace("name: runwright-", f"name: {site.name}-")
    text = text.replace("serviceAccountName: runwright-", f"serviceAccountName: {site.name}-")
    text = text.replace("policyName: runwright-", f"policyName: {site.name}-")
    objects = [one for one in yaml.safe_load_all(text) if one["kind"] not in ("CustomResourceDefinition", "Namespace")]
    return [one for one in objects if not one["metadata"]["name"].endswith("-status")]  # others write status meanwhile


def test_the_operator_starts(site: Site) -> None:
    objects = renamed(site, site.kubectl("kustomize", folder("default")))
    try:
        site.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))
        (pod,) = eventually(lambda: site.list("pods", site.name))
        assert pod["spec"]["serviceAccountName"] == f"{site.name}-operator"
        again = site.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))
        assert len(again.splitlines()) == len(objects)
        # the API server writes a status of its own meanwhile
        eventually(lambda: not site.kubectl("diff", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects)))
    finally:
        site.run("kubectl", "delete", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(objects))


def test_one_teams_own_is_applied_by_the_team(site: Site) -> None:
    """By a user with rights in one namespace alone; the operator learns the namespace from its pod."""
    (site.folder / "base").symlink_to(folder("overlays/namespaced"))
    team = site.folder / "team"
    team.mkdir()
    (team / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": site.team, "resources": ["../base"]}))
    lead = ("--clusterrole=cluster-admin", "--user=team-lead", "--namespace", site.team)
    site.kubectl("create", "rolebinding", "lead", *lead)
    objects = site.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(team))
    site.kubectl("apply", "--server-side", "-f", "-", stdin=objects, user="team-lead")
    (pod,) = eventually(lambda: site.list("pods", site.team))
    env = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
    assert env["RUNWRIGHT_NAMESPACES"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
