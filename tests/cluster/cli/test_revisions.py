"""`runwright history`, `rollback`, `retrain`, `cancel`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml

from tests.cluster.cli.commands import FAILURE, KIND, SERVING, UNDER_WAY, Cli, Running, spec_of
from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually
from tests.doubles.runs.objects import NAME, revision, status


def test_history(cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]) -> None:
    cli("submit", file())
    assert "has no revision yet" in cli("history", NAME).stdout
    put(status(revision(1), revision(2, "Rejected"), revision(3, "Failed", failure=FAILURE), serving=1))
    table = cli("history", NAME)
    assert table.returncode == 0
    assert [line.split()[:3] for line in table.stdout.splitlines()[1:]] == [
        [">", "3", "Failed"],
        ["2", "Rejected", "Recipe"],
        ["*", "1", "Succeeded"],
    ]
    assert "train failed: OOMKilled" in cli("history", NAME, "--revision", "3").stdout
    found = json.loads(cli("history", NAME, "-o", "json").stdout)
    assert [item["number"] for item in found] == [3, 2, 1]
    assert yaml.safe_load(cli("history", NAME, "--revision", "1", "-o", "yaml").stdout)["serving"] is True
    missing = cli("history", NAME, "--revision", "9")
    assert missing.returncode == 1
    assert "revision 9 is not in the history" in missing.stdout


def test_rollback_pins_what_may_serve_and_unpins(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None], api: Api, namespace: str
) -> None:
    cli("submit", file())
    put(status(revision(1), revision(2, "Rejected"), revision(3), serving=3, conditions=list(SERVING)))
    refused = cli("rollback", NAME, "--to", "2")
    assert refused.returncode == 1
    assert "revision 2 cannot serve: the gate rejected it (✗ accuracy ≥ 0.9: 0.8)" in refused.stdout
    assert cli("rollback", NAME, "--dry-run").returncode == 0
    assert "deploy" not in spec_of(api, namespace)
    done = cli("rollback", NAME)
    assert (done.returncode, done.stdout) == (
        0,
        "revision 1 of penguins serves instead of revision 3, without training; `--unpin` undoes it\n",
    )
    assert spec_of(api, namespace)["deploy"] == {"revision": 1}
    assert "spec.deploy.revision stays 1" in cli("diff", file()).stdout
    assert "is no longer pinned" in cli("rollback", NAME, "--unpin").stdout
    assert "revision" not in spec_of(api, namespace).get("deploy", {})
    assert "is not pinned" in cli("rollback", NAME, "--unpin").stdout


def test_rollback_waits_until_that_revision_serves(
    cli: Cli, started: Callable[..., Running], file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    cli("submit", file())
    put(status(revision(1), revision(2), serving=2, conditions=list(SERVING)))
    running = started("rollback", NAME, "--wait")
    running.until("revision 1 of penguins serves instead of")
    put(status(revision(1), revision(2), serving=1, conditions=list(SERVING)))
    running.until("penguins: revision 1 serves")
    assert running.ended() == 0


def test_rollback_warns_where_git_is_the_source_of_truth(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    cli("submit", file(annotations={"argocd.argoproj.io/tracking-id": "zoo"}))
    put(status(revision(1), revision(2), serving=2))
    done = cli("rollback", NAME)
    assert done.returncode == 0
    assert "warning: Argo CD manages penguins and may put spec.deploy.revision back" in done.stdout
    assert "revert the commit in git instead" in done.stdout


def test_retrain_leaves_the_spec_alone_and_waits_for_the_new_revision(
    cli: Cli,
    started: Callable[..., Running],
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    api: Api,
    namespace: str,
) -> None:
    cli("submit", file())
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    before = api.get(*KIND, NAME, namespace)
    running = started("retrain", NAME, "--wait")
    running.until("revision 2 of penguins trains")
    after = eventually(lambda: _annotated(api, namespace, "runwright.dev/retrain"))
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    first = after["metadata"]["annotations"]["runwright.dev/retrain"]
    put(status(revision(1), revision(2, "Running", trigger="Request", request=first), conditions=list(UNDER_WAY)))
    running.until("revision 2 (Request): Running")
    assert running.process.poll() is None
    put(status(revision(1), revision(2, trigger="Request"), serving=2, conditions=list(SERVING)))
    assert running.ended() == 0
    assert cli("retrain", NAME).returncode == 0
    assert (
        _annotated(api, namespace, "runwright.dev/retrain")["metadata"]["annotations"]
        != after["metadata"]["annotations"]
    )


def _annotated(api: Api, namespace: str, key: str) -> dict[str, Any]:
    found = api.get(*KIND, NAME, namespace)
    return found if key in found["metadata"].get("annotations", {}) else {}


def test_cancel_names_the_revision_that_runs(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None], api: Api, namespace: str
) -> None:
    cli("submit", file())
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    assert "no revision of penguins is running" in cli("cancel", NAME).stdout
    put(status(revision(1), revision(2, "Running"), serving=1, conditions=list(UNDER_WAY)))
    assert cli("cancel", NAME, "--revision", "1").returncode == 1
    done = cli("cancel", NAME)
    assert done.stdout == "revision 2 of penguins is being cancelled; revision 1 keeps serving\n"
    annotations = api.get(*KIND, NAME, namespace)["metadata"]["annotations"]
    assert annotations["runwright.dev/cancel"] == "2"
