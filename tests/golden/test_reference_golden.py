"""The reference page is the one that the models draw."""

from pathlib import Path

from runwright_api.reference import reference

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    committed = (ROOT / "docs" / "reference" / "trainingrun.md").read_text(encoding="utf-8")
    assert committed == reference(), "run `make generate`"


def test_it_marks_what_is_required_and_what_comes_later() -> None:
    page = reference()
    assert "| **horizon** |" in page
    assert "| monitor *(later)* |" in page
