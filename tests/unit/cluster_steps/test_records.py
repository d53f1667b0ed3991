"""The records that steps keep: what is written, when, and by whose turn."""

import json
from typing import Any

import pytest

from runwright_components.cluster.client import Kubernetes
from runwright_components.cluster.ending import ClusterError
from runwright_components.cluster.records import RecordWriter, bounded, progress_of
from runwright_components.contract.cluster import LARGEST_RECORD, ClusterRun, StageFault, StageRecord
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RECORD_PATH, RUN_ID, RUN_PATH, FakeTime, training_run


@pytest.fixture
def writer(kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime) -> RecordWriter:
    return _writer(kubernetes, run, clock)


def _writer(kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, run_id: str = RUN_ID) -> RecordWriter:
    return RecordWriter(kubernetes, run, run_id=run_id, stage="train", clock=clock)


def _stored(api: KubernetesApi, stage: str = "train") -> StageRecord:
    return StageRecord.model_validate_json(api.objects[RECORD_PATH]["data"][f"{stage}.json"])


def _event(kind: Any = "progress", **fields: Any) -> Event:
    return Event(time=0.0, stage="train", kind=kind, **fields)


def test_the_config_map_is_found_and_owned(writer: RecordWriter, api: KubernetesApi) -> None:
    writer.heard(_event("start"))
    stored = api.objects[RECORD_PATH]
    assert stored["metadata"]["labels"]["runwright.dev/run-uid"] == "uid-of-churn"
    assert stored["metadata"]["ownerReferences"][0]["uid"] == "uid-of-churn"
    assert api.writes() == [("PATCH", RECORD_PATH, "runwright-step-train")]
    assert _stored(api).state == "running"
    assert _stored(api).run_id == RUN_ID


def test_progress_is_written_once_in_five_seconds_and_the_end_always(
    writer: RecordWriter, api: KubernetesApi, clock: FakeTime
) -> None:
    for second in range(20):
        clock.now = 1000.0 + second
        writer.heard(_event(done=second, total=20, unit="steps"))
    assert len(api.writes()) == 4
    assert _stored(api).progress == progress_of(_event(done=15, total=20, unit="steps"))
    writer.end("succeeded", result={"digest": "sha256:x"})
    assert len(api.writes()) == 5
    assert (_stored(api).state, _stored(api).result) == ("succeeded", {"digest": "sha256:x"})


def test_progress_says_what_the_api_shows() -> None:
    values = {"epoch": 3, "loss": 0.25, "samples_per_second": 1234.5, "eta_seconds": 61.6}
    found = progress_of(_event(done=50, total=200, unit="steps", values=values))
    assert found.model_dump() == {
        "percent": 25,
        "epoch": 3,
        "step": 50,
        "loss": 0.25,
        "samples_per_second": 1234.5,
        "seconds_left": 62,
    }
    assert progress_of(_event(done=1, values={"loss": float("nan"), "epoch": "x"})).loss is None


def test_progress_that_cannot_be_written_fails_nothing(
    writer: RecordWriter, api: KubernetesApi, clock: FakeTime
) -> None:
    api.failures = [503] * 3
    writer.heard(_event("start"))
    assert api.writes() == []
    clock.now += 10
    writer.heard(_event(done=1, total=2))
    assert len(api.asked) == 1, "after a failure it waits longer"
    clock.now += 30
    api.failures = []
    writer.heard(_event(done=1, total=2))
    assert _stored(api).progress is not None


def test_an_end_is_written_for_certain(writer: RecordWriter, api: KubernetesApi) -> None:
    api.failures = [503, 503]
    writer.end("succeeded")
    assert _stored(api).state == "succeeded"


def test_a_failure_carries_its_fault(writer: RecordWriter, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "run-executor-1")
    writer.failed(StageError(Reason.DATA_INVALID, "no rows", cure="collect more", where="data"), log=("a", "b"))
    fault = _stored(api).fault
    assert fault is not None
    assert fault.model_dump() == {
        "reason": "DataInvalid",
        "message": "no rows",
        "cure": "collect more",
        "where": "data",
        "pod": "run-executor-1",
        "container": None,
        "exit_code": 10,
        "log": ("a", "b"),
    }


def test_a_clusters_fault_is_kept_as_it_is(writer: RecordWriter, api: KubernetesApi) -> None:
    fault = StageFault(reason="Unschedulable", message="no node", pod="w-0")
    writer.failed(ClusterError(fault))
    assert _stored(api).fault == fault


def test_a_step_that_starts_again_goes_on_counting(
    kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, api: KubernetesApi
) -> None:
    _writer(kubernetes, run, clock).note(failures=2, preemptions=1, gpu_seconds=8.0, result={"began": "t"})
    again = _writer(kubernetes, run, clock)
    again.heard(_event("start"))
    assert (_stored(api).failures, _stored(api).preemptions, _stored(api).gpu_seconds) == (2, 1, 8.0)
    assert again.record.result == {"began": "t"}


def test_another_attempt_counts_anew(
    kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, api: KubernetesApi
) -> None:
    _writer(kubernetes, run, clock).note(failures=2)
    api.put(RUN_PATH, training_run("second-run"))
    _writer(kubernetes, run, clock, run_id="second-run").heard(_event("start"))
    assert _stored(api).failures == 0


@pytest.mark.parametrize("live", [training_run("another-run"), training_run(RUN_ID, uid="made-anew")])
def test_a_run_whose_turn_has_passed_keeps_quiet(
    writer: RecordWriter, api: KubernetesApi, live: dict[str, Any]
) -> None:
    writer.note(state="running")
    api.put(RUN_PATH, live)
    before = len(api.writes())
    writer.failed(StageError(Reason.CANCELLED, "fenced off"))
    assert len(api.writes()) == before


def test_damaged_records_are_passed_over(writer: RecordWriter, api: KubernetesApi) -> None:
    api.put(RECORD_PATH, {"data": {"train.json": "{nonsense"}})
    writer.open()
    assert writer.record.failures == 0


def test_a_record_is_bounded_and_keeps_what_decides() -> None:
    slices = [{"column": "c", "value": "v" * 100, "rows": 1, "metrics": {"accuracy": 0.5}} for _ in range(1000)]
    result = {"model_digest": "sha256:x", "verdict": "passed", "metrics": {"accuracy": 0.5}, "slices": slices}
    fault = StageFault(reason="InternalError", message="x" * 5000, log=("y" * 500,) * 200)
    record = StageRecord(stage="evaluate", run_id="r", state="failed", time="t", result=result, fault=fault)
    text = bounded(record)
    assert len(text.encode()) <= LARGEST_RECORD
    kept = StageRecord.model_validate_json(text)
    assert kept.result["verdict"] == "passed"
    assert kept.result["model_digest"] == "sha256:x"
    assert kept.fault is not None


def test_records_are_json_and_hold_no_secret(
    kubernetes: Kubernetes, run: ClusterRun, clock: FakeTime, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-value")
    writer = _writer(kubernetes, run, clock)
    writer.hide(["a-partners-login", ""])
    error = StageError(Reason.SOURCE_DENIED, "signed with s3cr3t-value, logged in as a-partners-login")
    writer.failed(error, log=("token=abcdefgh",))
    content = api.objects[RECORD_PATH]["data"]["train.json"]
    assert "s3cr3t-value" not in content
    assert "a-partners-login" not in content
    assert "abcdefgh" not in content
    writer.end("succeeded", result={"loss": float("nan")})
    assert json.loads(api.objects[RECORD_PATH]["data"]["train.json"])["result"]["loss"] is None
