"""The page for users names every condition and phase there is, and no reason that there is not."""

import re
from pathlib import Path

from runwright_api.names import ANNOTATION_CANCEL, ANNOTATION_RETRAIN, FINALIZER, LABEL_RUN
from runwright_api.reasons import ConditionType, Phase, Reason

PAGE = (Path(__file__).parents[3] / "docs" / "operator.md").read_text()
REASON = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-zA-Z]*)?\b")


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_condition_has_its_row() -> None:
    assert sorted(row[0] for row in _rows("Conditions")) == sorted(str(one) for one in ConditionType)


def test_every_phase_has_its_row() -> None:
    assert sorted(row[0] for row in _rows("Phases")) == sorted(str(one) for one in Phase)


def test_reasons_in_the_table_are_of_the_closed_list() -> None:
    known = {str(one) for one in Reason} | {str(one) for one in ConditionType} | {"True", "Unknown"}
    for row in _rows("Conditions"):
        words = {word for cell in row[1:] for word in REASON.findall(cell)}
        assert words <= known, row[0]
        assert words & {str(one) for one in Reason}, row[0]


def test_annotations_labels_and_finalizer_are_named_as_they_are() -> None:
    for name in (ANNOTATION_CANCEL, ANNOTATION_RETRAIN, FINALIZER, LABEL_RUN):
        assert name in PAGE
