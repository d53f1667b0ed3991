"""What a person is told who lacks a right, has a bad token, or mistypes a name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.cli.commands import SERVING, Cli
from tests.cluster.tier.api import Api
from tests.doubles.runs.objects import NAME, revision, status


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


def test_a_name_that_is_not_there_brings_a_near_one(cli: Cli, file: Callable[..., str], namespace: str) -> None:
    assert "cure: the namespace has none; choose another with -n" in cli("watch", NAME).stdout
    cli("submit", file())
    missing = cli("history", "pengiuns")
    assert missing.returncode == 1
    assert missing.stdout == (
        f"error: there is no TrainingRun pengiuns in namespace {namespace}\n  cure: did you mean penguins?\n"
    )
