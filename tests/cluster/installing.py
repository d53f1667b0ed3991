"""A place in the cluster for one installation of Runwright, with the real Helm and kubectl.

Everything that an installation makes has a prefix of its own, and its policies bind its own namespaces, so that tests
which use the same cluster at the same time see nothing of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runwright_api import names
from tests.cluster.tier.binaries import binary
from tests.golden.rendering import CHART

Object = dict[str, Any]
Done = subprocess.CompletedProcess[str]
CRD = f"{names.PLURAL}.{names.GROUP}"


@dataclass(frozen=True)
class Site:
    """`name` is the prefix of what is installed and the namespace of the operator, `team` a namespace of users."""

    kubeconfig: Path
    folder: Path
    name: str

    @property
    def team(self) -> str:
        return f"{self.name}-team"

    @property
    def operator(self) -> str:
        """The operator, as the API server names it."""
        return f"system:serviceaccount:{self.name}:{self.name}-operator"

    @property
    def step(self) -> str:
        """A pipeline step of the team."""
        return f"system:serviceaccount:{self.team}:{self.name}-run"

    def values(self, **values: Any) -> Object:
        """Values that install under the site's own names."""
        given = {"name": self.name, "run": {"serviceAccount": f"{self.name}-run"}, "runNamespaces": [self.team]}
        return {**given, "crds": {"install": False}, **values}

    def run(self, program: str, *arguments: str, stdin: str | None = None) -> Done:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        command = [str(binary(program)), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=120)

    def kubectl(self, *arguments: str, stdin: str | None = None, user: str | None = None) -> str:
        """What kubectl prints. Raises Refused with its words when it fails."""
        return _checked(self.run("kubectl", *arguments, *(("--as", user) if user else ()), stdin=stdin))

    def helm(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        stdin = yaml.safe_dump(dict(values)) if values is not None else None
        given = ("--values", "-") if values is not None else ()
        return _checked(self.run("helm", *arguments, "--namespace", self.name, *given, stdin=stdin))

    def install(self, values: Mapping[str, Any], *, chart: Path = CHART, verb: str = "install") -> None:
        self.helm(verb, self.name, str(chart), "--take-ownership", values=values)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        home = ("--namespace", namespace) if namespace else ()
        return dict(json.loads(self.kubectl("get", kind, name, *home, "-o", "json")))

    def list(self, kind: str, namespace: str) -> list[Object]:
        return list(json.loads(self.kubectl("get", kind, "--namespace", namespace, "-o", "json"))["items"])

    def apply(self, manifest: Object, *, user: str | None = None, manager: str = "a-test", **flags: str) -> str:
        """Server-side apply."""
        given = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        command = ("apply", "--server-side", f"--field-manager={manager}", *given, "-f", "-")
        return self.kubectl(*command, stdin=json.dumps(manifest), user=user)

    def training_run(self, name: str = "penguins", **spec: Any) -> Object:
        """A TrainingRun that no operator starts."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": self.team},
            "spec": {
                "data": {"sources": [{"http": {"url": "https://example.com/penguins.csv"}}]},
                "prepare": {"target": "species"},
                "train": {"task": "tabular-classification"},
                "suspend": True,
                **spec,
            },
        }


class Refused(AssertionError):
    """A command failed; the text is what it printed."""


def _checked(done: Done) -> str:
    if done.returncode:
        raise Refused(done.stderr or done.stdout)
    return done.stdout


@contextmanager
def claimed(kubeconfig: Path, folder: Path) -> Iterator[Site]:
    """A new site: two namespaces, both under Pod Security `restricted`. What was installed there goes in the end."""
    site = Site(Path(kubeconfig), folder, f"rwi-{uuid.uuid4().hex[:6]}")
    for namespace in (site.name, site.team):
        site.kubectl("create", "namespace", namespace)
        site.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield site
    finally:
        site.run("helm", "uninstall", site.name, "--namespace", site.name, "--ignore-not-found")
        site.run("kubectl", "delete", "namespace", site.name, site.team, "--wait=false")


def refused(attempt: Callable[[], Any], *words: str) -> bool:
    """Whether the attempt is refused with these words. A policy takes effect a moment after it was made: ask again."""
    try:
        attempt()
    except Refused as error:
        if missing := [word for word in words if word not in str(error)]:
            raise AssertionError(f"{missing} not in: {error}") from error
        return True
    return False
