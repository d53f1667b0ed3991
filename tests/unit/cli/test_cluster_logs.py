"""Which pods have logs worth reading, and lines of several of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from runwright_api import TrainingRunStatus
from runwright_api.reasons import Stage
from runwright_cli.cluster.errors import AwayError
from runwright_cli.cluster.logs import Follower, parse, read, sortable
from runwright_cli.cluster.pods import Stream, selectors, streams
from tests.doubles.runs.objects import revision, status


def _pod(
    name: str,
    *states: dict[str, Any],
    labels: dict[str, str] | None = None,
    args: list[str] | None = None,
    first: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "labels": labels or {}},
        "spec": {"containers": [{"name": "main", "args": args or []}]},
        "status": {"containerStatuses": list(states), "initContainerStatuses": first or []},
    }


def _container(name: str, state: str = "running", **fields: Any) -> dict[str, Any]:
    details = {"terminated": {"exitCode": fields.pop("code", 0)}}.get(state, {})
    return {"name": name, "state": {state: details}, "restartCount": 0, **fields}


TRAIN = {"runwright.dev/stage": "train"}
SERVE = {"serving.kserve.io/inferenceservice": "penguins"}


def _found(pods: list[dict[str, Any]], stage: Stage | None = None) -> list[tuple[str, str]]:
    return [(stream.pod, stream.container) for stream in streams(pods, stage)]


def test_the_pods_of_a_revision_are_found_by_our_labels_and_by_the_pipelines() -> None:
    run = {"id": "0b1c", "attempt": "a"}
    (found,) = TrainingRunStatus.model_validate(status(revision(2, pipelineRun=run))).revisions
    assert selectors("penguins", found) == (
        "runwright.dev/run=penguins,runwright.dev/revision=2",
        "pipeline/runid=0b1c",
    )
    assert selectors("penguins", None) == ("runwright.dev/run=penguins",)


def test_frames_and_drivers_are_left_out_unless_they_fail() -> None:
    step = _pod(
        "impl", _container("wait"), _container("main", "terminated"), args=["--function_to_execute", "data", "x"]
    )
    driver = _pod("driver", _container("main", "terminated"), args=["--type", "CONTAINER"])
    broken = _pod("broken", _container("main", "terminated", code=1), args=["--type", "CONTAINER"])
    assert _found([step, driver, broken]) == [("impl", "main"), ("broken", "main")]


def test_stages_are_told_by_label_by_service_and_by_the_step_that_runs() -> None:
    pods = [
        _pod("data", _container("main"), args=["--function_to_execute", "data"]),
        _pod("train", _container("main"), args=["--function_to_execute", "train"]),
        _pod("worker-0", _container("pytorch"), labels=TRAIN),
        _pod("predictor", _container("kserve-container"), labels=SERVE, first=[_container("model", "terminated")]),
    ]
    assert _found(pods, Stage.PREPARE) == [("data", "main")]
    assert _found(pods, Stage.TRAIN) == [("train", "main"), ("worker-0", "pytorch")]
    assert _found(pods, Stage.DEPLOY) == [("predictor", "model"), ("predictor", "kserve-container")]
    assert _found(pods, Stage.EVALUATE) == []


def test_a_pod_that_has_not_started_says_why() -> None:
    pod = _pod("worker-0", labels=TRAIN)
    pod["status"] = {"conditions": [{"status": "False", "reason": "Unschedulable", "message": "no GPUs"}]}
    (stream,) = streams([pod])
    assert not stream.started
    assert stream.waiting == "Unschedulable: no GPUs"
    waiting = _container("pytorch", "waiting")
    waiting["state"]["waiting"] = {"reason": "ImagePullBackOff"}
    (stream,) = streams([_pod("worker-0", waiting, labels=TRAIN)])
    assert (stream.started, stream.waiting) == (False, "ImagePullBackOff")


class ScriptedLogs:
    """Logs by pod: each request gets the next list of lines; an exception breaks the connection off."""

    def __init__(self, **answers: list[list[str | Exception]]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, str | None]] = []

    def log(
        self, pod: str, container: str, *, follow: bool, previous: bool, tail: int | None, since: str | None = None
    ) -> Iterator[str]:
        self.asked.append((pod, since))
        for line in self._answers[pod].pop(0):
            if isinstance(line, Exception):
                raise line
            yield line


def _stream(pod: str, *, running: bool = True, started: bool = True, restarts: int = 0) -> Stream:
    return Stream(pod, pod, "main", (Stage.TRAIN,), restarts, running=running, started=started)


def test_lines_are_merged_by_time_and_a_log_that_cannot_be_read_is_a_note() -> None:
    logs = ScriptedLogs(
        a=[["2026-01-01T00:00:01Z one", "2026-01-01T00:00:03.5Z three"]],
        b=[["2026-01-01T00:00:03.25Z two", "2026-01-01T00:00:03.51Z four"]],
        c=[[AwayError("no kubelet")]],
    )
    lines = list(read(logs, [_stream("a"), _stream("b"), _stream("c")], previous=False, tail=None))
    assert [line.text for line in lines] == ["its log cannot be read: no kubelet", "one", "two", "three", "four"]


def test_previous_reads_only_what_restarted() -> None:
    logs = ScriptedLogs(b=[["2026-01-01T00:00:01Z before"]])
    lines = list(read(logs, [_stream("a"), _stream("b", restarts=1)], previous=True, tail=None))
    assert [line.text for line in lines] == ["before"]


@pytest.mark.parametrize(
    ("raw", "time", "text"),
    [
        ("2026-01-01T00:00:01Z one two", "2026-01-01T00:00:01Z", "one two"),
        ("2026-01-01T00:00:01Z ", "2026-01-01T00:00:01Z", ""),
        ("unable to retrieve container logs", "", "unable to retrieve container logs"),
    ],
)
def test_a_line_and_its_time(raw: str, time: str, text: str) -> None:
    line = parse(_stream("a"), raw)
    assert (line.time, line.text) == (time, text)


def test_times_sort_as_text() -> None:
    times = ["2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.51Z", "2026-01-01T00:00:02Z"]
    assert max(times[::-1], key=sortable) == times[-1]
    assert min(times[::-1], key=sortable) == times[0]


def test_following_starts_again_where_a_connection_broke_and_ends_with_the_run() -> None:
    logs = ScriptedLogs(
        a=[
            ["2026-01-01T00:00:01.1Z one", AwayError("broken")],
            ["2026-01-01T00:00:01.1Z one", "2026-01-01T00:00:01.2Z two"],
            *([] for _ in range(20)),
        ]
    )
    polls = [0]

    def find() -> list[Stream]:
        polls[0] += 1
        if polls[0] == 2:
            raise AwayError("the API server is away")
        return [_stream("a", running=polls[0] < 6), _stream("late", started=False)]

    told = [line.text for line in Follower(logs, None, sleep=_short).follow(find, lambda: polls[0] > 6)]
    assert [text for text in told if text in ("one", "two")] == ["one", "two"]
    assert told.count("has not started: waiting") == 1
    assert "the API server is away; trying again" in told
    assert ("a", "2026-01-01T00:00:01.1Z") in logs.asked


def _short(_seconds: float) -> None:
    """Enough for a thread to read what is there."""
    import time

    time.sleep(0.02)
