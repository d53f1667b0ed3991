"""`runwright diff` and `submit`: what would change, what changes, and waiting for the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cli.commands import FAILURE, KIND, RUN, SERVING, UNDER_WAY, Cli, Running, spec_of
from tests.cluster.tier.api import Api
from tests.doubles.runs.objects import NAME, condition, revision, run, status


def test_submit_creates_and_a_second_time_changes_nothing(
    cli: Cli, file: Callable[..., str], api: Api, namespace: str
) -> None:
    path = file()
    asked = cli("diff", path)
    assert (asked.returncode, asked.stdout) == (
        1,
        "a new TrainingRun: revision 1 trains, and serves if it passes the gate\n",
    )
    tried = cli("submit", path, "--dry-run")
    assert tried.returncode == 0
    assert api.find(*KIND, NAME, namespace) is None
    first = cli("submit", path)
    assert first.returncode == 0
    assert f"trainingrun penguins created in namespace {namespace}" in first.stdout
    assert spec_of(api, namespace) == run()["spec"]
    second = cli("submit", path)
    assert "nothing: the cluster has this already" in second.stdout
    assert "trainingrun penguins unchanged" in second.stdout
    assert cli("diff", path).returncode == 0


def test_a_section_that_is_emptied_is_taken_away(cli: Cli, file: Callable[..., str], api: Api, namespace: str) -> None:
    """A server-side apply of `deploy: {}` over a pin makes it null, which the CRD refuses."""
    assert cli("submit", file({"deploy": {"revision": 3}})).returncode == 0
    answer = cli("submit", file({"deploy": {}}))
    assert answer.returncode == 0, answer.stderr
    assert "deploy" not in spec_of(api, namespace)


def test_diff_says_what_each_change_means(
    cli: Cli, file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    path = file()
    cli("submit", path)
    put(status(revision(1), revision(2, of=run({"train.epochs": 30})), revision=1, serving=1, conditions=list(SERVING)))
    train = cli("diff", path, "--set", "spec.train.epochs=40")
    assert train.returncode == 1
    for part in ("spec.train.epochs: 20 -> 40", "revision 3 trains", "revision 1 keeps serving until"):
        assert part in train.stdout
    back = cli("diff", path, "--set", "spec.train.epochs=30")
    assert "goes back to revision 2 without training" in back.stdout
    gate = cli("diff", path, "--set", "spec.evaluate.gate[0].min=0.99", "-o", "json")
    assert gate.returncode == 1
    found = json.loads(gate.stdout)
    assert found["effects"] == ["judge"]
    assert "rejected: accuracy 0.95 is below the required 0.99" in found["sentences"][0]


def test_errors_of_diff_have_exit_code_2(cli: Cli, file: Callable[..., str], tmp_path: Path) -> None:
    path = file()
    assert cli("diff", str(tmp_path / "nowhere.yaml")).returncode == 2
    assert cli("diff", path, "--wrong").returncode == 2
    invalid = cli("diff", path, "--set", "spec.train.epochs=0")
    assert invalid.returncode == 2
    assert "spec.train.epochs" in invalid.stdout
    local = cli("diff", path, "--set", "spec.data.sources=[{path: data.csv}]")
    assert local.returncode == 2
    assert "spec.data.sources[0].path: data.csv is a path of this machine" in local.stdout
    assert "Traceback" not in local.stdout


def test_fields_of_others_are_told_and_taken_over_only_when_asked(
    cli: Cli, file: Callable[..., str], api: Api, namespace: str
) -> None:
    api.apply({**run({"train.epochs": 7, "train.batchSize": 32}), "metadata": {"name": NAME, "namespace": namespace}})
    path = file()
    asked = cli("diff", path)
    assert "runwright-test set spec.train.epochs to another value; submit needs --force-conflicts" in asked.stdout
    assert "note: spec.train.batchSize stays 32" in asked.stdout
    refused = cli("submit", path)
    assert refused.returncode == 1
    assert "cure: change it there, or take the fields over with --force-conflicts" in refused.stdout
    assert cli("submit", path, "--force-conflicts").returncode == 0
    assert spec_of(api, namespace)["train"] == {
        "task": "tabular-classification",
        "epochs": 20,
        "batchSize": 32,
    }


def test_submit_waits_until_it_is_ready(
    started: Callable[..., Running], file: Callable[..., str], put: Callable[[dict[str, Any]], None]
) -> None:
    path = file()
    running = started("submit", path, "--wait", "--timeout", "2m")
    running.until("created in namespace")
    training = revision(1, "Running", pipelineRun=RUN)
    progress = {"stage": "train", "percent": 42, "epoch": 3, "loss": 0.31, "summary": "train 42%"}
    put(status(training, progress=progress, conditions=list(UNDER_WAY)))
    assert running.until("42%").endswith("train     42%, epoch 3, loss 0.31")
    put(status(revision(1), serving=1, conditions=list(SERVING)))
    running.until("penguins: Serving: it serves")
    assert running.ended() == 0


@pytest.mark.parametrize(("state", "reason", "code"), [("Failed", "OOMKilled", 1), ("Rejected", "GateRejected", 2)])
def test_waiting_ends_with_what_became_of_it(
    cli: Cli,
    file: Callable[..., str],
    put: Callable[[dict[str, Any]], None],
    state: str,
    reason: str,
    code: int,
) -> None:
    path = file()
    cli("submit", path)
    stalled = [condition("Ready", "False", reason, "why"), condition("Stalled", "True", reason, "why")]
    failure = {"failure": FAILURE} if state == "Failed" else {}
    put(status(revision(1, state, **failure), conditions=stalled, **failure))
    ended = cli("submit", path, "--wait")
    assert ended.returncode == code
    if state == "Failed":
        for part in ("train failed: OOMKilled", "pod penguins-r2-worker-0, exit code 137", "| Killed", "s3://logs/r2"):
            assert part in ended.stdout


def test_waiting_gives_up(cli: Cli, file: Callable[..., str]) -> None:
    ended = cli("submit", file(), "--wait", "--timeout", "2s")
    assert ended.returncode == 124
    assert "not ready after 2 s" in ended.stdout
