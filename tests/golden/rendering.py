"""Renders the chart: `python -m tests.golden.rendering` (`make generate`).

The chart is the only source of the objects of an installation. Its renderings are kept in tests/golden/manifests,
one file a set of values, and the Kustomize manifests are cut from them (decision 0008).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.tier.binaries import KUBERNETES, binary
from tests.golden.rights import table
from tests.golden.values_table import with_table

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/runwright"
FOLDER = Path(__file__).parent / "manifests"
DRAWN = "# Cut from the chart by `make generate`; change charts/runwright, not this file.\n"

NO_CRD = {"crds": {"install": False}}  # it has a golden file of its own
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("runwright-system", NO_CRD),
    "multi-user": (
        "runwright-system",
        {**NO_CRD, "pipelines": {"multiUser": True}},
    ),
    # Nothing that reaches over the cluster: no ClusterRole, no policy, no CRD.
    "namespaced": (
        "runwright",
        {**NO_CRD, "namespaces": ["runwright"], "rbac": {"aggregate": False}, "policies": {"enabled": False}},
    ),
    "full": (
        "runwright-system",
        {
            **NO_CRD,
            "namespaces": ["team-b", "team-a"],
            "runNamespaces": ["team-a"],
            "replicas": 2,
            "image": {"digest": f"sha256:{'0' * 64}", "pullSecrets": ["registry"]},
            "run": {"networkPolicy": True, "spark": {"enabled": True}, "annotations": {"example.com/role": "training"}},
            "storage": {"uri": "s3://models/runwright", "secret": "models"},
            "pipelines": {
                "endpoint": "https://pipelines.example.com",
                "page": "https://pipelines.example.com/ui",
                "multiUser": True,
                "ca": {"configMap": "company-ca"},
            },
            "priorityClassName": "system-cluster-critical",
            "policies": {"secrets": {"allowlist": True}},
            "networkPolicy": {"metricsFrom": {"kubernetes.io/metadata.name": "monitoring"}},
            "metrics": {name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")},
        },
    ),
}
BASE = {
    "rbac": ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
    "operator": ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"),
    "policies": ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
}


def render(namespace: str, values: Mapping[str, Any]) -> str:
    """What `helm install` would apply, as YAML. Raises CalledProcessError when the values are refused."""
    command = (binary("helm"), "template", "runwright", CHART, "--namespace", namespace, "--values", "-")
    done = subprocess.run(
        [*map(str, command), "--kube-version", KUBERNETES],
        input=yaml.safe_dump(dict(values)),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def documents(rendered: str) -> list[str]:
    """The objects of a rendering as text, without the marks that only Helm needs."""
    marks = ("# Source: ", "app.kubernetes.io/managed-by: Helm", "helm.sh/chart: ")
    texts = []
    for text in rendered.removeprefix("---\n").split("\n---\n"):
        kept = [line.rstrip() for line in text.splitlines() if not line.strip().startswith(marks)]
        texts.append("\n".join(kept).strip() + "\n")
    return texts


def pieces(texts: Iterable[str]) -> dict[str, str]:
    """The files of a Kustomize folder: objects that belong together."""
    objects = [(yaml.safe_load(text)["kind"], text) for text in texts]
    files = {name: [text for kind, text in objects if kind in kinds] for name, kinds in BASE.items()}
    return {f"{name}.yaml": DRAWN + "---\n".join(found) for name, found in files.items() if found}


def drawn() -> dict[Path, str]:
    """Every file that is drawn from the chart and from the health check, and its text."""
    texts = {name: documents(render(*variant)) for name, variant in VARIANTS.items()}
    files = {FOLDER / f"{name}.yaml": "---\n".join(found) for name, found in texts.items()}
    files[FOLDER / "rights.yaml"] = table(
        {name: [yaml.safe_load(text) for text in found] for name, found in texts.items()}
    )
    for folder, name in (("base", "default"), ("overlays/namespaced", "namespaced")):
        files |= {ROOT / "manifests" / folder / file: text for file, text in pieces(texts[name]).items()}
    files[ROOT / "manifests/argocd/argocd-cm.yaml"] = argocd_config()
    install = ROOT / "docs/install.md"
    files[install] = with_table(install.read_text(encoding="utf-8"), (CHART / "values.yaml").read_text("utf-8"))
    return files


def argocd_config() -> str:
    """The patch of Argo CD's ConfigMap, with the Lua of manifests/argocd inside."""
    folder = ROOT / "manifests/argocd"
    actions = {
        "discovery.lua": _Block((folder / "actions/discovery.lua").read_text("utf-8")),
        "definitions": [{"name": "retrain", "action.lua": _Block((folder / "actions/retrain.lua").read_text("utf-8"))}],
    }
    patch = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {
            "resource.customizations.health.runwright.dev_TrainingRun": _Block(
                (folder / "health.lua").read_text(encoding="utf-8")
            ),
            "resource.customizations.actions.runwright.dev_TrainingRun": _Block(_dump(actions)),
        },
    }
    return "# Drawn from the Lua files beside it by `make generate`.\n" + _dump(patch)


class _Block(str):
    """Text that YAML shows line by line."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120)


def main() -> int:
    try:
        files = drawn()
    except RuntimeError as error:  # no Go to build Helm with
        print(f"the chart's renderings are left as they are: {error}", file=sys.stderr)
        return int(os.environ.get("RUNWRIGHT_REQUIRE") == "all")
    for old in FOLDER.glob("*.yaml"):
        if old not in files:
            old.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
