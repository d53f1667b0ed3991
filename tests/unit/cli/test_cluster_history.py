"""The table of revisions, one in detail, and where a rollback may go."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from runwright_api import TrainingRunStatus, load_object
from runwright_cli.cluster.errors import ClusterError
from runwright_cli.cluster.history import age, as_json, details, table
from runwright_cli.cluster.reading import gitops, manifest, status_of
from runwright_cli.cluster.rollback import before_the_current, revision_of, why_not
from tests.doubles.runs.objects import revision, run, status

NOW = datetime(2026, 1, 3, 1, 0, 0, tzinfo=UTC)
FAILURE = {"stage": "train", "reason": "OOMKilled", "message": "too little memory", "exitCode": 137}
PAST = status(
    revision(1),
    revision(2, "Rejected"),
    revision(3, "Failed", failure=FAILURE),
    revision(4, gpuSeconds=7200.0, trigger="Request", request="again"),
    revision(5, "Running"),
    serving=4,
)


def _status(found: dict[str, Any]) -> TrainingRunStatus:
    return TrainingRunStatus.model_validate(found)


def test_the_table() -> None:
    console = Console(width=140, highlight=False)
    gate = load_object(run()).spec.evaluate.gate
    with console.capture() as captured:
        console.print(table(_status(PAST), gate, NOW))
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    recipe = revision(1)["recipe"].removeprefix("sha256:")[:12]
    assert lines == [
        "revision state trigger metrics gate version recipe age",
        f"> 5 Running Recipe {recipe} 2d",
        f"* 4 Succeeded Request accuracy 0.95 passed 4 {recipe} 2d",
        f"3 Failed Recipe {recipe} 2d",
        f"2 Rejected Recipe accuracy 0.8 rejected 2 {recipe} 2d",
        f"1 Succeeded Recipe accuracy 0.95 passed 1 {recipe} 2d",
    ]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2026-01-03T00:59:15Z", "45s"),
        ("2026-01-03T00:45:00Z", "15m"),
        ("2026-01-02T20:00:00.5Z", "4h"),
        ("2025-12-31T00:00:00Z", "3d"),
        ("2026-01-04T00:00:00Z", "0s"),
        ("soon", ""),
        (None, ""),
    ],
)
def test_ages(time: str | None, text: str) -> None:
    assert age(time, NOW) == text


def test_the_details_of_a_revision() -> None:
    parsed = _status(PAST)
    text = "\n".join(f"{what}: {value}" for what, value in details(parsed, revision_of(parsed, 4)))
    for part in (
        "state: Succeeded, serves now",
        "trigger: Request (again)",
        "GPU time: 2 h 0 min",
        "accuracy 0.95",
        "✓",
    ):
        assert part in text
    failed = "\n".join(value for _, value in details(parsed, revision_of(parsed, 3)))
    assert "train failed: OOMKilled" in failed
    assert "exit code 137" in failed


def test_revisions_for_programs_are_those_of_status() -> None:
    parsed = _status(PAST)
    found = as_json(parsed, revision_of(parsed, 4))
    assert (found["number"], found["serving"], found["wanted"]) == (4, True, False)
    assert found["artifact"]["modelDigest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (1, None),
        (2, "the gate rejected it (✗ accuracy ≥ 0.9: 0.8)"),
        (3, "it failed with OOMKilled and left no package"),
        (5, "it is still running"),
    ],
)
def test_which_revisions_may_serve(number: int, why: str | None) -> None:
    assert why_not(revision_of(_status(PAST), number)) == why


def test_a_package_that_is_gone() -> None:
    found = revision(1)
    del found["artifact"]
    assert why_not(_status(status(found)).revisions[0]) == "its package is gone"


def test_a_rollback_goes_to_the_one_that_could_serve_before() -> None:
    assert before_the_current(_status(PAST)).number == 1
    with pytest.raises(ClusterError, match="no revision before 1 can serve"):
        before_the_current(_status(status(revision(1), serving=1)))
    with pytest.raises(ClusterError, match="nothing was made yet"):
        before_the_current(_status({}))


def test_a_revision_that_is_not_kept() -> None:
    with pytest.raises(ClusterError, match="revision 9 is not in the history") as caught:
        revision_of(_status(PAST), 9)
    assert "1, 2, 3, 4, 5" in caught.value.cure


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"argocd.argoproj.io/instance": "x"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux"),
        ({"labels": {"app.kubernetes.io/instance": "x"}}, None),
        ({}, None),
    ],
)
def test_who_manages_it(metadata: dict[str, Any], tool: str | None) -> None:
    assert gitops(run(**metadata)) == tool


def test_what_an_apply_sends_is_what_a_person_wrote() -> None:
    content = run(
        {"deploy": {"mode": None, "resources": {"cpu": None}}},
        uid="u1",
        resourceVersion="3",
        managedFields=[{}],
        labels={},
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
    )
    sent = manifest({**content, "status": {"phase": "Failed"}})
    assert set(sent) == {"apiVersion", "kind", "metadata", "spec"}
    assert sent["metadata"] == {"name": "penguins", "annotations": {"mine": "1"}}
    assert "deploy" not in sent["spec"], "it says nothing"
    lora = {"train": {"task": "text-generation", "model": {"lora": {}, "trees": None}, "scheduling": {}}}
    assert manifest({**content, "spec": lora})["spec"]["train"] == {"task": "text-generation", "model": {"lora": {}}}


def test_a_status_of_a_newer_operator_says_so() -> None:
    with pytest.raises(ClusterError, match=r"does not understand: status\.phase") as caught:
        status_of({"status": {"phase": "Dreaming"}})
    assert "upgrade" in caught.value.cure


def test_the_cost_of_a_training_is_told_in_full() -> None:
    cost = {
        "seconds": 60.0,
        "cpuSeconds": 7200.0,
        "processes": 8,
        "restarts": 1,
        "samplesPerSecond": 1234.5,
        "tokensPerSecond": 98765.0,
        "mfu": 0.415,
        "peakHostBytes": 2_500_000_000,
        "energyJoules": 7_200_000.0,
    }
    shown = _status(status(revision(1, cost=cost)))
    lines = [text for name, text in details(shown, shown.revisions[0])]
    for line in (
        "2 h 0 min of processors, 8 processes",
        "1,234 samples/s, 2.50 GB at most",
        "98,765 tokens/s",
        "41.5% of the GPUs' peak",
        "2.000 kWh of GPUs",
    ):
        assert line in lines
