"""Names, reasons, kinds of text, and the page that tells them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright_api import TrainingRunStatus, load, names
from runwright_api.reasons import ConditionType, Reason
from runwright_api.text import explain, seconds
from runwright_components.contract.outcome import Reason as StageReason

ARCHITECTURE = Path(__file__).resolve().parents[3] / "docs/architecture.md"


def test_every_reason_of_a_stage_reaches_the_status() -> None:
    assert {str(reason) for reason in StageReason} <= {str(reason) for reason in Reason}


def test_reasons_and_conditions_are_words_that_kubernetes_takes() -> None:
    for word in [*Reason, *ConditionType]:
        assert re.fullmatch(r"[A-Z][A-Za-z]{1,63}", word)


def test_child_names_are_names() -> None:
    longest = "a" * names.LONGEST_RUN_NAME
    assert names.training_job_name("churn", 3) == "churn-r3"
    assert len(names.training_job_name(longest, 2**31 - 1)) <= names.LONGEST_NAME
    assert names.inference_service_name("churn") == "churn"
    with pytest.raises(ValueError, match="longer than 63"):
        names.child_name(longest, "a" * 20)


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("15m", 900), ("12h", 43200), ("2d", 172800), ("1h30m", 5400)]
)
def test_spans_of_time(text: str, length: int) -> None:
    assert seconds(text) == length


def test_a_pattern_without_words_is_shown_itself() -> None:
    assert explain("^x$") == ("text that matches ^x$", "")


def test_a_new_status() -> None:
    status = TrainingRunStatus()
    assert status.observed_generation == -1
    assert status.conditions == ()


def test_a_status_with_everything() -> None:
    digest = "sha256:" + "0" * 64
    time = "2026-01-02T03:04:05Z"
    written = {
        "observedGeneration": 3,
        "phase": "Failed",
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "OOMKilled", "message": "", "lastTransitionTime": time}
        ],
        "revision": 2,
        "revisions": [
            {
                "number": 2,
                "recipe": digest,
                "trigger": "Drift",
                "state": "Failed",
                "pipelineRun": {"id": "1", "attempt": "churn-1-2"},
                "metrics": {"accuracy": 0.9},
                "verdict": "rejected",
                "checks": [{"metric": "accuracy", "value": 0.9, "min": 0.95, "passed": False}],
                "failure": {"stage": "train", "reason": "OOMKilled", "pod": "p", "exitCode": 137, "log": ["a", "b"]},
            }
        ],
        "serving": {"revision": 1, "url": "https://x", "modelDigest": digest},
        "progress": {"stage": "train", "percent": 42, "summary": "train 42%"},
        "fieldOfTheFuture": 1,
    }
    status = TrainingRunStatus.model_validate(written)
    assert status.revisions[0].failure is not None
    assert status.revisions[0].failure.reason is Reason.OOM_KILLED
    assert TrainingRunStatus.model_validate(status.model_dump(mode="json", by_alias=True)) == status


def test_the_defaults_on_the_architecture_page_are_true(smallest_yaml: str) -> None:
    """The page shows every field with its default; what is an example there, is named here."""
    page = ARCHITECTURE.read_text(encoding="utf-8")
    shown = yaml.safe_load(page.split("## The TrainingRun, in YAML")[1].split("```yaml\n")[1].split("```")[0])
    examples = {
        "data.sources",
        "prepare.target",
        "prepare.columns",
        "prepare.missing.words",
        "train.task",
        "tune",
        "evaluate.slices",
        "evaluate.gate",
    }
    actual = load(smallest_yaml).spec.model_dump(mode="json", by_alias=True)

    def compare(given: Any, default: Any, path: tuple[str, ...]) -> None:
        if ".".join(path) in examples:
            return
        if isinstance(given, dict) and given:
            for name, value in given.items():
                compare(value, default.get(name, "no such field"), (*path, name))
        else:
            assert given == default, path

    compare(shown["spec"], actual, ())


def test_the_jobs_of_a_revision_are_known_by_their_names() -> None:
    ours = ("churn-r3", "churn-r3-data", "churn-r3-t12")
    others = ("churn-r33", "churn-r3-date", "churn-r3-t", "churn-r3-data-r1", "churn-data")
    assert all(names.is_job_of(job, "churn", 3) for job in ours)
    assert not any(names.is_job_of(job, "churn", 3) for job in others)
