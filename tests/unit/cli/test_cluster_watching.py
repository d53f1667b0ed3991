"""Following a TrainingRun: watches that end, expire and break, what is told, and how it ends."""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from runwright_api import TrainingRunStatus
from runwright_cli.cluster.client import Object
from runwright_cli.cluster.errors import AwayError, ClusterError, ExpiredError, ForbiddenError
from runwright_cli.cluster.follow import Deleted, News, Said, Seen, Tick, follow
from runwright_cli.cluster.stages import Outcome, Wanted, outcome, rows
from runwright_cli.cluster.telling import attention, failure_lines, news
from runwright_cli.cluster.watching import TIMED_OUT, LineView, LiveView, watch
from tests.doubles.runs.objects import condition, revision, run, status, stored
from tests.doubles.runs.scripted import ScriptedCluster, StopScript

RUN = {"id": "0b1c", "attempt": "penguins-1-r2-a1", "url": "http://kubeflow/#/runs/0b1c"}
FAILURE = {
    "stage": "train",
    "reason": "OOMKilled",
    "message": "it needs more than 8Gi\ncure: raise spec.train.resources.memory",
    "pod": "penguins-r2-worker-0",
    "container": "pytorch",
    "exitCode": 137,
    "log": ["epoch 3", "Killed"],
    "logUri": "s3://logs/r2",
}
UNDER_WAY = (
    condition("Ready", "False", "InProgress", "revision 2 is being made"),
    condition("Reconciling", "True", "InProgress", "revision 2 is being made"),
)
READY = (condition("Ready", "True", "Serving", "revision 2 serves"), condition("Reconciling", "False"))


def _training(percent: int | None = None, *more: Object, **fields: Any) -> Object:
    progress: Object = {"stage": "train", "summary": f"train {percent}%"}
    if percent is not None:
        progress |= {"percent": percent, "epoch": 3, "loss": 0.31, "samplesPerSecond": 1234.5, "secondsLeft": 125}
    made = revision(2, "Running", pipelineRun=RUN)
    return status(revision(1), made, serving=1, progress=progress, conditions=[*UNDER_WAY, *more], **fields)


def _serving() -> Object:
    return status(revision(1), revision(2), serving=2, conditions=list(READY))


def _failed(state: str = "Failed", reason: str = "OOMKilled", **fields: Any) -> Object:
    stalled = [condition("Ready", "False", reason, "why"), condition("Stalled", "True", reason, "why")]
    return status(revision(1), revision(2, state, **fields), serving=1, conditions=stalled)


def _object(found: Object, version: int = 1, uid: str = "u1") -> Object:
    return stored(run(), found, version=version, uid=uid)


def _follow(cluster: ScriptedCluster, slept: list[float] | None = None) -> list[News]:
    told: list[News] = []
    try:
        for event in follow(cluster, "penguins", sleep=(slept if slept is not None else []).append):
            told.append(event)
    except StopScript:
        pass
    return told


def test_a_watch_that_ends_goes_on_from_its_last_version_bookmarks_included() -> None:
    first, second = _object(_training(1), 5), _object(_training(2), 7)
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    cluster = ScriptedCluster([first], [[("MODIFIED", second), bookmark], []])
    assert _follow(cluster) == [Seen(first), Seen(second), Tick(), Tick()]
    assert cluster.versions == ["5", "9", "9"]


def test_an_expired_version_is_listed_again_without_a_word() -> None:
    old, new = _object(_training(1), 5), _object(_training(2), 50)
    cluster = ScriptedCluster([old, new], [[ExpiredError("too old")], []])
    assert _follow(cluster) == [Seen(old), Seen(new), Tick()]
    assert cluster.versions == ["5", "50", "50"]


def test_an_apiserver_that_is_away_is_told_once_and_waited_for_ever_longer() -> None:
    found = _object(_training(1), 5)
    away = AwayError("https://here does not answer: Connection refused")
    cluster = ScriptedCluster([found, away, away, found], [[away], []])
    slept: list[float] = []
    told = _follow(cluster, slept)
    assert [event for event in told if isinstance(event, Said)] == [
        Said("https://here does not answer: Connection refused; trying again"),
        Said("the API server is back"),
    ]
    assert slept[:3] == [1.0, 2.0, 4.0]
    assert told[-2:] == [Seen(found), Tick()]


def test_waiting_never_gets_longer_than_a_quarter_of_a_minute() -> None:
    slept: list[float] = []
    source = ScriptedCluster([AwayError("away")] * 8 + [None])
    assert _follow(source, slept)[-1] == Deleted()
    assert max(slept) == 15.0


def test_a_right_that_is_missing_ends_it() -> None:
    with pytest.raises(ForbiddenError):
        _follow(ScriptedCluster([ForbiddenError("no")]))


def test_a_deleted_object_ends_it_and_a_namesake_does_not() -> None:
    found, other = _object(_training(1), 5), _object(_training(1), 8, uid="u2")
    gone = ("DELETED", _object(_training(1), 6))
    assert _follow(ScriptedCluster([found, None], [[gone]])) == [Seen(found), Tick(), Deleted()]
    again = _follow(ScriptedCluster([found, other], [[gone], []]))
    assert again == [Seen(found), Tick(), Said("penguins was deleted and made anew"), Seen(other), Tick()]


@pytest.mark.parametrize(
    ("found", "wanted", "code"),
    [
        pytest.param({"observedGeneration": -1}, Wanted(1), None, id="not seen yet"),
        pytest.param(_training(10), Wanted(1), None, id="training"),
        pytest.param(_serving(), Wanted(1), 0, id="ready"),
        pytest.param(_serving(), Wanted(2), None, id="ready, of the spec before"),
        pytest.param(_failed(), Wanted(1), 1, id="failed"),
        pytest.param(_failed("Cancelled", "Cancelled"), Wanted(1), 1, id="cancelled"),
        pytest.param(_failed("Rejected", "GateRejected"), Wanted(1), 2, id="rejected"),
        pytest.param(
            _failed("Rejected", "GateRejected"), Wanted(1, after=2), None, id="rejected before the retraining"
        ),
        pytest.param(_failed(), Wanted(1, after=1), 1, id="the retraining failed"),
        pytest.param(_serving(), Wanted(1, after=2), None, id="the retraining has not begun"),
        pytest.param(
            {**_training(10), "conditions": list(READY)}, Wanted(1, after=1), None, id="ready by a pin while it trains"
        ),
        pytest.param(_serving(), Wanted(1, after=1), 0, id="the retraining serves"),
        pytest.param(_serving(), Wanted(1, serving=1), None, id="the rollback is not there yet"),
        pytest.param(_failed(), Wanted(1, serving=1), 0, id="the rollback serves, whatever failed"),
        pytest.param(
            status(conditions=[condition("Stalled", "True", "InvalidSpec", "no")]),
            Wanted(1),
            1,
            id="refused",
        ),
        pytest.param(
            status(
                revision(1, "Pending"),
                conditions=[condition("Suspended", "True", "SuspendedByUser"), condition("Reconciling", "False")],
            ),
            Wanted(1),
            1,
            id="suspended",
        ),
    ],
)
def test_how_it_ended(found: Object, wanted: Wanted, code: int | None) -> None:
    ended = outcome(_object(found), wanted)
    assert (ended.code if ended else None) == code


def test_the_reason_of_an_end_is_said() -> None:
    assert outcome(_object(_serving()), Wanted(1)) == Outcome(0, "Serving: revision 2 serves")
    assert outcome(_object(_failed()), Wanted(1)) == Outcome(1, "revision 2 failed")


def _states(found: Object) -> str:
    letters = {"waiting": ".", "running": "r", "done": "d", "skipped": "s", "failed": "F", "cached": "c"}
    return "".join(letters[row.state] for row in rows(TrainingRunStatus.model_validate(found)))


@pytest.mark.parametrize(
    ("found", "states"),
    [
        pytest.param({}, ".......", id="nothing yet"),
        pytest.param(status(revision(1, "Pending")), ".......", id="pending"),
        pytest.param(_training(10), "ddr....", id="training"),
        pytest.param(
            status(revision(1, "Running"), conditions=[condition("Trained", "True")]),
            "ddd....",
            id="between two",
        ),
        pytest.param(
            status(revision(1, "Running", verdict="passed"), conditions=[condition("Packaged", "True")]),
            "dddddd.",
            id="packaged",
        ),
        pytest.param(status(revision(2), conditions=[condition("Deployed", "True")]), "ddddddd", id="served"),
        pytest.param(
            status(revision(2), conditions=[condition("Deployed", "False", "InProgress")]), "ddddddr", id="redeployed"
        ),
        pytest.param(
            status(revision(2), conditions=[condition("Deployed", "False", "DeploymentOff")]), "dddddds", id="no deploy"
        ),
        pytest.param(_failed("Rejected", "GateRejected"), "dddddds", id="rejected"),
        pytest.param(_failed(failure=FAILURE), "ddF....", id="failed"),
        pytest.param(_failed("Cancelled", "Cancelled", failure={"reason": "Cancelled"}), "sssssss", id="cancelled"),
    ],
)
def test_the_state_of_each_stage(found: Object, states: str) -> None:
    assert _states(found) == states


STORY: Sequence[Object] = (
    status(revision(1), serving=1, conditions=[condition("Ready", "True", "Serving", "revision 1 serves")]),
    _training(None, condition("Submitted", "True"), condition("Trained", "False", "Unschedulable", "no GPUs")),
    _training(42, condition("Submitted", "True"), condition("Trained", "False", "InProgress", "42%")),
    _serving(),
)


def test_news_tell_what_changed_and_nothing_twice() -> None:
    parsed = [None, *(TrainingRunStatus.model_validate(found) for found in STORY)]
    told = [line for old, new in pairwise(parsed) if new for line in news(old, new)]
    assert told == [
        "revision 1 (Recipe): Succeeded",
        "Ready=True Serving: revision 1 serves",
        "revision 1 serves at http://penguins.zoo",
        "revision 2 (Recipe): Running",
        "pipeline: http://kubeflow/#/runs/0b1c",
        "Submitted=True",
        "Trained=False Unschedulable: no GPUs",
        "revision 2: Succeeded",
        "Ready=True Serving: revision 2 serves",
        "revision 2 serves at http://penguins.zoo",
    ]


def test_a_failure_tells_pod_code_log_and_cure() -> None:
    failure = TrainingRunStatus.model_validate({"failure": FAILURE}).failure
    assert failure is not None
    assert list(failure_lines(failure)) == [
        "train failed: OOMKilled",
        "  it needs more than 8Gi",
        "  cure: raise spec.train.resources.memory",
        "  pod penguins-r2-worker-0, container pytorch, exit code 137",
        "  | epoch 3",
        "  | Killed",
        "  whole log: s3://logs/r2",
    ]


def test_only_what_is_out_of_the_ordinary_asks_for_attention() -> None:
    def asked(found: Object) -> list[str]:
        return list(attention(TrainingRunStatus.model_validate(found)))

    assert asked(_training(10)) == []
    assert asked(_serving()) == []
    assert asked(_failed()) == ["Stalled: OOMKilled: why"]
    waiting = [condition("Ready", "False", "Unschedulable", "0/8 nodes have a GPU")]
    assert asked(status(revision(1, "Running"), conditions=waiting)) == ["Unschedulable: 0/8 nodes have a GPU"]


def _watched(cluster: ScriptedCluster, *, terminal: bool, seconds: float | None = None) -> tuple[int, str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, highlight=False)
    times = iter(range(0, 10_000, 3))
    code = watch(
        cluster,
        "penguins",
        console,
        wanted=Wanted(1),
        seconds=seconds,
        clock=lambda: float(next(times)),
        sleep=lambda _seconds: None,
    )
    return code, out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_it_ends_when_it_is_ready(terminal: bool) -> None:
    cluster = ScriptedCluster([_object(_training(42), 1)], [[("MODIFIED", _object(_serving(), 2))]])
    code, text = _watched(cluster, terminal=terminal)
    assert code == 0
    assert "42%" in text or terminal
    assert "penguins: Serving: revision 2 serves" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_it_ends_with_the_failure(terminal: bool) -> None:
    broken = [("MODIFIED", _object(_failed(failure=FAILURE), 2))]
    cluster = ScriptedCluster([_object(_training(42), 1)], [[AwayError("away")], broken])
    code, text = _watched(cluster, terminal=terminal)
    assert code == 1
    for part in ("away; trying again", "train failed: OOMKilled", "exit code 137", "| Killed", "revision 2 failed"):
        assert part in text


def test_the_time_before_is_no_news() -> None:
    before = {**_failed(), "observedGeneration": 0}
    cluster = ScriptedCluster([_object(before, 1)], [[("MODIFIED", _object(_serving(), 2))]])
    code, text = _watched(cluster, terminal=False)
    assert code == 0
    assert "Stalled" not in text
    assert "revision 2: Succeeded" in text


def test_it_gives_up_after_a_time() -> None:
    cluster = ScriptedCluster([_object(_training(42), 1)], [[] for _ in range(100)])
    code, text = _watched(cluster, terminal=False, seconds=60.0)
    assert code == TIMED_OUT
    assert "not ready after 60 s" in text


def test_what_was_never_there_is_an_error_and_what_was_deleted_an_end() -> None:
    with pytest.raises(ClusterError, match="there is no TrainingRun penguins"):
        _watched(ScriptedCluster([None]), terminal=False)
    gone = [("DELETED", _object(_training(1), 6))]
    code, text = _watched(ScriptedCluster([_object(_training(1), 5), None], [gone]), terminal=False)
    assert (code, text.splitlines()[-1]) == (1, "penguins: was deleted")


def test_progress_lines_come_every_few_seconds_and_with_every_stage() -> None:
    out = io.StringIO()
    now = [0.0]
    view = LineView(lambda line: print(line, file=out), clock=lambda: now[0])
    for percent in range(0, 40, 10):
        now[0] += 2.0
        view.take(_object(_training(percent)))
    view.take(
        _object(status(revision(2, "Running", pipelineRun=RUN), progress={"stage": "deploy", "summary": "deploy"}))
    )
    lines = out.getvalue().splitlines()
    assert [line for line in lines if line.startswith(("train", "deploy"))] == [
        "train     0%, epoch 3, loss 0.31, 1,234 samples/s, 2 min 5 s left",
        "train     30%, epoch 3, loss 0.31, 1,234 samples/s, 2 min 5 s left",
        "deploy    runs",
    ]


def test_the_table_shows_stages_bar_pipeline_and_what_serves() -> None:
    console = Console(width=120, highlight=False)
    view = LiveView(console, "penguins")
    for found, parts in (
        ({"observedGeneration": -1}, ["the operator has not seen it yet"]),
        (
            _training(42, phase="Running"),
            ["penguins", "zoo", "revision 2", "Running", "42%", "epoch 3, loss 0.31", "http://kubeflow", "revision 1"],
        ),
        (_failed(failure=FAILURE), ["✗", "OOMKilled", "Stalled: OOMKilled: why"]),
    ):
        view.take(_object(found))
        with console.capture() as captured:
            console.print(view.render())
        text = captured.get()
        for part in parts:
            assert part in text
