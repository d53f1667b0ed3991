"""What the progress of a run looks like."""

import io
from typing import Any

import pytest
from rich.console import Console

from runwright_cli.summary import last_lines
from runwright_cli.view import LineView, LiveView, QuietView, StageView, duration, view_for
from runwright_components.contract.progress import Event


def _event(kind: Any, time: float, stage: str = "train", **fields: Any) -> Event:
    return Event(time=time, stage=stage, kind=kind, **fields)


STORY = (
    _event("start", 10.0, "collect"),
    _event("cached", 10.1, "collect", message="344 rows"),
    _event("start", 11.0),
    _event("progress", 12.0, done=40, total=400, unit="steps", values={"loss": 0.25, "eta_seconds": 90.0}),
    _event("warning", 12.5, message="the loss jumps"),
    _event("done", 13.0, message="3 epochs"),
    _event("start", 14.0, "package"),
    _event("done", 14.0, "package", message="the gate rejected the model", values={"skipped": "yes"}),
    _event("start", 15.0, "deploy"),
    _event("failed", 16.0, "deploy", message="[no] such folder"),
)


def _told(view_of: Any, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, highlight=False)
    with view_of(console) as view:
        for event in STORY:
            view.take(event)
    return out.getvalue()


def test_plain_lines() -> None:
    assert _told(LineView, terminal=False).splitlines() == [
        "collect   unchanged, its result is used again: 344 rows",
        "warning: train: the loss jumps",
        "train     done in 2.0 s: 3 epochs",
        "package   skipped: the gate rejected the model",
        "deploy    failed in 1.0 s: [no] such folder",
    ]


def test_progress_in_words() -> None:
    stage = StageView("train")
    stage.take(STORY[3])
    assert stage.figures() == "40/400 steps, loss 0.25, 1 min 30 s left"


def test_the_table_on_a_terminal_ends_with_every_stage() -> None:
    text = _told(LiveView, terminal=True)
    for part in ("✓", "=", "✗", "344 rows", "3 epochs", "[no] such folder", "warning: train: the loss jumps"):
        assert part in text


def test_quiet_tells_warnings_alone() -> None:
    assert _told(QuietView, terminal=False) == "warning: train: the loss jumps\n"


def test_the_view_fits_the_console() -> None:
    assert isinstance(view_for(Console(file=io.StringIO()), quiet=False), LineView)
    assert isinstance(view_for(Console(force_terminal=True), quiet=False), LiveView)
    assert not isinstance(view_for(Console(force_terminal=True), quiet=True), LineView | LiveView)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_last_lines_of_a_log_leave_out_the_frame_around_a_step() -> None:
    log = "\n".join(
        [
            "10:00:00.000 - INFO - Executing task 'train'",
            "Streamed logs:",
            "",
            "    [KFP Executor 2026-01-01 INFO]: Got executor_input:",
            "{",
            '    "inputs": {}',
            "}",
            "what the step said",
            "its last word",
            "",
            "10:00:01.000 - ERROR - Task 'train' finished with status FAILURE",
            "----------------------------------------",
        ]
    )
    assert last_lines(log) == ["what the step said", "its last word"]
    assert last_lines(log, 1) == ["its last word"]
