"""A step goes on only while the status names its own run."""

from typing import Any

import pytest

from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.fence import WAIT_SECONDS, Fence, is_under_way, standing
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.outcome import ExitCode, StageError
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RUN_ID, RUN_PATH, FakeTime, training_run


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (training_run(RUN_ID), "ours"),
        (training_run("another"), "other"),
        (training_run(""), "unknown"),
        (training_run(None), "unknown"),
        ({"metadata": {"uid": "uid-of-churn"}}, "unknown"),
        ({"metadata": {"uid": "uid-of-churn"}, "status": {"revisions": "nonsense"}}, "unknown"),
        (training_run(RUN_ID, uid="made-anew"), "gone"),
        (None, "gone"),
    ],
)
def test_standing(run: ClusterRun, live: dict[str, Any] | None, expected: str) -> None:
    assert standing(live, run, RUN_ID) == expected


def test_an_object_that_is_being_deleted_is_gone(run: ClusterRun) -> None:
    live: dict[str, Any] = training_run(RUN_ID)
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert standing(live, run, RUN_ID) == "gone"


@pytest.mark.parametrize(
    ("named", "state", "expected"),
    [(RUN_ID, "Running", True), (RUN_ID, "Cancelled", False), ("another", "Running", False)],
)
def test_what_the_operator_wants_to_go_on(run: ClusterRun, named: str, state: str, expected: bool) -> None:
    live: dict[str, Any] = training_run(named)
    live["status"]["revisions"][1]["state"] = state
    assert is_under_way(live, run, RUN_ID) == expected


def test_it_waits_for_the_operator_to_write_the_id(
    kubernetes: Kubernetes, run: ClusterRun, api: KubernetesApi, clock: FakeTime
) -> None:
    api.put(RUN_PATH, training_run(""))

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 1020:
            api.put(RUN_PATH, training_run(RUN_ID))

    Fence(kubernetes, run, RUN_ID, clock=clock, sleep=sleep).enter()
    assert 1020 < clock.now < 1030


@pytest.mark.parametrize("named", ["another", ""])
def test_it_is_cancelled_otherwise(
    kubernetes: Kubernetes, run: ClusterRun, api: KubernetesApi, clock: FakeTime, named: str
) -> None:
    api.put(RUN_PATH, training_run(named))
    with pytest.raises(StageError) as caught:
        Fence(kubernetes, run, RUN_ID, clock=clock, sleep=clock.sleep).enter()
    assert caught.value.exit_code is ExitCode.CANCELLED
    assert (clock.now - 1000 >= WAIT_SECONDS) == (named == "")
