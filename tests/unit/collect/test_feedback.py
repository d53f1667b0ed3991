"""Logged predictions and the labels that came later."""

import gzip
import json
from typing import Any

import pytest

from runwright_components.collect import collect, fingerprint
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, FeedbackConfig, IncrementalConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from tests.unit.collect.conftest import Workplace


def logged(*rows: tuple[str, str, dict[str, Any]]) -> str:
    """Lines of a server's log: id, time and input of each."""
    return "".join(
        json.dumps({"id": name, "row": 0, "time": moment, "model": "sha256:0", "input": row, "output": {"value": 1.0}})
        + "\n"
        for name, moment, row in rows
    )


FIRST = logged(
    ("1", "2026-01-01T12:00:00.000Z", {"x": "3,5 kg", "z": 1, "y": None}),
    ("1#1", "2026-01-01T12:00:00.000Z", {"x": 4, "z": 2}),
    ("never", "2026-01-01T12:00:00.000Z", {"x": 5, "z": 3}),
)
SECOND = logged(("late", "2026-01-02T12:00:00.000Z", {"x": 6.5, "z": 4}))
LABELS = (
    "order,y,when\n1,yes,2026-01-01\n1#1,no,2026-01-03T12:00:00Z\nlate,no,2026-02-01T12:00:01Z\nother,yes,2026-01-01\n"
)


def config(workplace: Workplace, *more: Source, **rules: Any) -> CollectConfig:
    asked = FeedbackConfig(**{"labels": "labels", "key": "order", "label": "y", **rules})
    sources = (
        Source(name="asked", uri="log", format="jsonl", feedback=asked),
        Source(name="labels", uri="labels.csv"),
        *more,
    )
    return CollectConfig(sources=sources, base=str(workplace.sources))


def run(workplace: Workplace, config: CollectConfig) -> RawManifest:
    return collect(config, out=workplace.out, progress=Progress("collect", workplace.events.append))


def write(workplace: Workplace, labels: str = LABELS) -> None:
    workplace.write(
        {
            "log/2026-01-01/a.jsonl": FIRST,
            "log/2026-01-02/b.jsonl.gz": gzip.compress(SECOND.encode()),
            "log/.runwright": "",
            "labels.csv": labels,
        }
    )


def test_rows_as_they_were_asked_with_the_labels_that_came(workplace: Workplace) -> None:
    write(workplace)
    manifest = run(workplace, config(workplace))
    assert workplace.rows(manifest) == [
        {"x": "3,5 kg", "z": 1, "y": "yes"},
        {"x": "4", "z": 2, "y": "no"},
        {"x": "6.5", "z": 4, "y": "no"},
    ]
    assert [record.name for record in manifest.sources] == ["asked", "labels"]
    assert "asked: 3 of 4 logged predictions have a label" in [event.message for event in workplace.events]


def test_labels_that_came_too_late_are_left_out(workplace: Workplace) -> None:
    write(workplace)
    manifest = run(workplace, config(workplace, time="when", within_seconds=30 * 86400))
    assert [row["z"] for row in workplace.rows(manifest)] == [1, 2]
    told = "asked: 2 of 4 logged predictions have a label, 1 came too late"
    assert told in [event.message for event in workplace.events]


def test_rows_of_feedback_stand_below_those_of_other_sources(workplace: Workplace) -> None:
    write(workplace)
    workplace.write({"old.csv": "x,y,z\n1,yes,9\n"})
    old = Source(name="old", uri="old.csv", incremental=IncrementalConfig())
    given = config(workplace, old)
    rows = workplace.rows(run(workplace, given))
    assert [row["x"] for row in rows] == ["3,5 kg", "4", "6.5", "1"]
    workplace.out = workplace.out.with_name("second")
    assert (
        collect(given, out=workplace.out, progress=Progress("collect"), former=workplace.out.with_name("raw")).rows == 4
    )


def test_a_new_label_is_a_change(workplace: Workplace) -> None:
    write(workplace)
    given = config(workplace)
    before, digest = fingerprint(given), run(workplace, given).digest
    write(workplace, LABELS + "never,yes,2026-03-01\n")
    workplace.out = workplace.out.with_name("second")
    assert fingerprint(given) != before
    assert run(workplace, given).digest != digest


@pytest.mark.parametrize(
    ("labels", "rules", "words"),
    [
        (LABELS, {"label": "species"}, "source 'labels' has no column 'species'"),
        (LABELS + "1,no,2026-01-02\n", {}, "have the key"),
        ("order,y,when\nx,yes,2026-01-01\n", {}, "none of 4 rows finds its row in source 'labels'"),
        (LABELS, {"time": "when", "within_seconds": -1_000_000}, "has a label in time"),
        (LABELS, {"time": "y", "within_seconds": 1}, "which is no time"),
    ],
)
def test_labels_that_will_not_do(workplace: Workplace, labels: str, rules: dict[str, Any], words: str) -> None:
    write(workplace, labels)
    with pytest.raises(StageError) as caught:
        run(workplace, config(workplace, **rules))
    assert words in caught.value.message
    assert "asked" in caught.value.where or "labels" in caught.value.where
    assert caught.value.cure
    assert "asof" not in caught.value.cure
    assert not workplace.out.exists()


@pytest.mark.parametrize("line", ["{", '{"id": "1", "time": "x"}', '{"id": "1", "time": "x", "input": 3}', "[]"])
def test_a_line_that_is_no_logged_prediction(workplace: Workplace, line: str) -> None:
    write(workplace)
    workplace.write({"log/c.jsonl": FIRST + line + "\n"})
    with pytest.raises(StageError) as caught:
        run(workplace, config(workplace))
    assert caught.value.reason is Reason.DATA_UNREADABLE
    assert "c.jsonl, line 4" in caught.value.where
