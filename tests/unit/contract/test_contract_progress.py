"""Progress reaches its file as JSON lines, not too often, and never loses the last one."""

import json
from pathlib import Path

from runwright_components.contract.progress import Event, Progress, file_sink, silent


def test_events_are_lines_that_read_back(tmp_path: Path) -> None:
    target = tmp_path / "progress.jsonl"
    progress = Progress("train", file_sink(target), clock=lambda: 12.5)
    progress.emit("start")
    progress.update(3, 10, unit="steps", values={"loss": 0.5})
    lines = target.read_text().splitlines()
    assert [Event.model_validate_json(line).kind for line in lines] == ["start", "progress"]
    assert json.loads(lines[1]) == {
        "time": 12.5,
        "stage": "train",
        "kind": "progress",
        "done": 3,
        "total": 10,
        "unit": "steps",
        "values": {"loss": 0.5},
    }


def test_updates_are_thinned_but_the_last_one_is_kept() -> None:
    seen: list[Event] = []
    now = iter([0.0, 1.0, 1.0, 1.1, 1.15, 1.2, 1.2])
    progress = Progress("train", seen.append, clock=lambda: next(now), interval=0.2)
    progress.emit("start")
    for step in (1, 2, 3):
        progress.update(step, 3)
    assert [event.done for event in seen if event.kind == "progress"] == [1, 3]


def test_silence_is_silent(capsys) -> None:  # type: ignore[no-untyped-def]
    silent().note("nothing")
    assert capsys.readouterr() == ("", "")
