"""What Argo CD compares: the YAML from Git against the object, by a dry run of server-side apply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright_api import names
from tests.cluster.installing import Site, claimed
from tests.golden.rendering import ROOT

CONTROLLER = "argocd-controller"
EXAMPLES = sorted((ROOT / "examples").glob("*/run.yaml"))
SERVED_BY_THE_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


@pytest.fixture(scope="module")
def site(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with claimed(kubeconfig, tmp_path_factory.mktemp("site")) as found:
        yield found


def from_git(site: Site, path: Path) -> dict[str, Any]:
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    manifest["metadata"]["namespace"] = site.team
    manifest["spec"]["suspend"] = True  # no operator that looks after this namespace starts it
    return dict(manifest)


def live(site: Site, name: str) -> dict[str, Any]:
    return site.get("trainingrun", name, site.team)


def synced(site: Site, manifest: dict[str, Any]) -> dict[str, Any]:
    """The object as it would be after a sync."""
    command = ("apply", "--server-side", f"--field-manager={CONTROLLER}", "--dry-run=server", "-o", "json", "-f", "-")
    return dict(json.loads(site.kubectl(*command, stdin=json.dumps(manifest))))


def compared(found: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in found["metadata"].items() if key not in SERVED_BY_THE_SERVER}
    return {**found, "metadata": metadata, "status": None}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_what_was_applied_is_in_sync(site: Site, path: Path) -> None:
    manifest = from_git(site, path)
    site.apply(manifest, manager=CONTROLLER)
    found = live(site, manifest["metadata"]["name"])
    assert found["spec"] == manifest["spec"], "the server added to the spec"
    assert compared(synced(site, manifest)) == compared(found)


def test_a_finished_and_retrained_run_is_in_sync(site: Site) -> None:
    """The operator's finalizer and status and a person's annotation are no difference, and are not reverted."""
    manifest = from_git(site, ROOT / "examples/penguins/run.yaml")
    name = manifest["metadata"]["name"]
    site.apply(manifest, manager=CONTROLLER)
    mine = ("--namespace", site.team, "--type=merge", "--field-manager=runwright", "-p")
    site.kubectl("patch", "trainingrun", name, *mine, json.dumps({"metadata": {"finalizers": [names.FINALIZER]}}))
    site.kubectl("annotate", "trainingrun", name, "--namespace", site.team, f"{names.ANNOTATION_RETRAIN}=2")
    status = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": manifest["metadata"]}
    status["status"] = {"observedGeneration": 1, "phase": "Serving", "revision": 2}
    site.apply(status, manager="runwright", subresource="status")
    try:
        before = live(site, name)
        assert compared(synced(site, manifest)) == compared(before)
        site.apply(manifest, manager=CONTROLLER)
        after = live(site, name)
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], "a sync wrote something"
        assert after["metadata"]["annotations"][names.ANNOTATION_RETRAIN] == "2"
    finally:
        site.kubectl("patch", "trainingrun", name, *mine, '{"metadata":{"finalizers":null}}')


def test_what_a_person_changed_by_hand_is_a_difference(site: Site) -> None:
    manifest = from_git(site, ROOT / "examples/penguins/run.yaml")
    name = manifest["metadata"]["name"]
    site.apply(manifest, manager=CONTROLLER)
    change = ("--namespace", site.team, "--type=merge", "--field-manager=kubectl-edit", "-p")
    site.kubectl("patch", "trainingrun", name, *change, '{"spec":{"prepare":{"target":"Island"}}}')
    command = ("apply", "--server-side", f"--field-manager={CONTROLLER}", "--force-conflicts", "-f", "-")
    assert live(site, name)["spec"]["prepare"]["target"] == "Island"
    site.kubectl(*command, stdin=json.dumps(manifest))
    assert live(site, name)["spec"] == manifest["spec"]
