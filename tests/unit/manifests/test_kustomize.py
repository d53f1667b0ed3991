"""Kustomize makes the objects that the chart makes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.golden.rendering import ROOT

Object = dict[str, Any]
HELMS = ("app.kubernetes.io/managed-by", "helm.sh/chart")


@pytest.fixture
def kustomize(program: Callable[[str], Path]) -> Callable[[str], dict[tuple[str, ...], Object]]:
    def build(folder: str) -> dict[tuple[str, ...], Object]:
        command = [str(program("kubectl")), "kustomize", str(ROOT / "manifests" / folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return normal(list(yaml.safe_load_all(done.stdout)))

    return build


def normal(objects: list[Object]) -> dict[tuple[str, ...], Object]:
    """The objects by kind, namespace and name, less what only Helm writes and what has no order."""
    found = {}
    for one in objects:
        metadata = one["metadata"]
        for label in HELMS:
            metadata.get("labels", {}).pop(label, None)
        if one["kind"] == "CustomResourceDefinition":
            metadata.pop("annotations", None)
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]["spec"]
            pod["volumes"].sort(key=lambda volume: volume["name"])
            pod["containers"][0]["env"].sort(key=lambda variable: variable["name"])
            pod["containers"][0]["volumeMounts"].sort(key=lambda mount: mount["name"])
        found[one["kind"], metadata.get("namespace", ""), metadata["name"]] = one
    return found


@pytest.mark.parametrize(
    ("folder", "values"),
    [("default", {}), ("overlays/multi-user", {"pipelines": {"multiUser": True}})],
)
def test_as_the_chart(kustomize: Any, chart: Any, folder: str, values: Object) -> None:
    made = kustomize(folder)
    namespace = made.pop(("Namespace", "", "runwright-system"))
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert made == normal(chart(values))


def test_namespaced_as_the_chart(kustomize: Any, chart: Any) -> None:
    values = {
        "namespaces": ["runwright"],
        "crds": {"install": False},
        "rbac": {"aggregate": False},
        "policies": {"enabled": False},
    }
    made, wanted = kustomize("overlays/namespaced"), normal(chart(values, "runwright"))
    env = wanted["Deployment", "runwright", "runwright-operator"]["spec"]["template"]["spec"]["containers"][0]["env"]
    own = {"name": "RUNWRIGHT_NAMESPACES", "value": "runwright"}
    env[env.index(own)] = {
        "name": "RUNWRIGHT_NAMESPACES",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
    }
    assert made == wanted


def test_namespaced_moves_as_a_whole(program: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(ROOT / "manifests/overlays/namespaced")
    (tmp_path / "team").mkdir()
    text = yaml.safe_dump({"namespace": "team-a", "resources": ["../base"]})
    (tmp_path / "team/kustomization.yaml").write_text(text)
    command = [str(program("kubectl")), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path / "team")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for one in yaml.safe_load_all(done.stdout):
        assert one["metadata"]["namespace"] == "team-a"
        named = [subject["namespace"] for subject in one.get("subjects", ())]
        assert named in ([], ["team-a"], ["team-a", "kubeflow"])  # where Kubeflow Pipelines runs the steps itself
