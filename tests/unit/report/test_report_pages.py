"""The pages: whole, alone, safe whatever the data hold, and the same bytes for the same run."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runwright_components.contract.artifacts import HISTORY, History, ModelManifest
from runwright_components.contract.config import ModelConfig
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.evaluation import EVALUATION, Check, Evaluation
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.report import curves_page, quality_page, report_page

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7*7 }}ß中\u202e'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Collects tags, attributes and text, and notes tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.crossed: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def pages_of(run, name: str = "penguins") -> list[str]:
    return [
        report_page(run_name=name, prepared=run.prepared, model=run.model, evaluation=run.evaluation),
        quality_page(run.prepared),
        curves_page(run.model),
    ]


def test_pages_are_well_formed_and_stand_alone(run) -> None:
    for page in pages_of(run):
        outline = Outline(page)
        assert outline.crossed == []
        assert not {"script", "link", "img", "iframe", "object", "base"} & set(outline.tags)
        assert not re.search(r"https?:|url\(|@import|//[a-z]", page, re.IGNORECASE)
        assert all(name in {"href"} for _, name, value in outline.attributes if value and value.startswith("#"))
        assert not [name for _, name, _ in outline.attributes if name in {"src", "srcset", "style", "action"}]
        assert all(value and value.startswith("#") for tag, name, value in outline.attributes if name == "href")


def test_links_lead_somewhere(run) -> None:
    outline = Outline(pages_of(run)[0])
    places = {value for _, name, value in outline.attributes if name == "id"}
    targets = {value[1:] for _, name, value in outline.attributes if name == "href" and value}
    assert targets <= places


def test_policy_lets_the_style_act_and_nothing_else(run) -> None:
    for page in pages_of(run):
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
        policy = next(value for tag, name, value in Outline(page).attributes if tag == "meta" and name == "content")
        assert policy is not None
        assert policy.startswith("default-src 'none'")
        assert f"style-src 'sha256-{digest}'" in policy


def test_verdict_checks_and_metrics_are_shown(run) -> None:
    words = Outline(pages_of(run)[0]).words
    assert "Rejected: 1 of 2 checks failed" in words
    assert "f1Macro 0.7 is below the required 0.8" in words
    for text in ("guessing the commonest class: 0.380", "ROC AUC", "Chinstrap", "Torgersen few", "0.1875 ms"):
        assert text in words
    for heading in ("Predictions", "Slices", "Training", "Data", "Speed", "Lineage", "Use it"):
        assert heading in words


def test_no_bounds_is_a_pass_with_a_note(run_of) -> None:
    words = Outline(pages_of(run_of())[0]).words
    assert "Passed: the gate has no bounds" in words
    assert "Any metrics would have passed" in words


def test_a_model_that_only_guesses_is_named(run) -> None:
    assert "no better than" not in Outline(pages_of(run)[0]).words
    guessing = Evaluation.read(run.evaluation, EVALUATION)
    figures = {**guessing.metrics, "baselineAccuracy": guessing.metrics["accuracy"]}
    guessing.model_copy(update={"metrics": figures}).write(run.evaluation, EVALUATION)
    assert "no better than always guessing the most frequent class" in Outline(pages_of(run)[0]).words


def test_data_quality_is_shown(run) -> None:
    for page in pages_of(run)[:2]:
        words = Outline(page).words
        for text in (
            "41 numbers in another notation (1,234)",
            "3,750 → 3750",
            "N/A → missing",
            "4 rows outside 2,100 to 7,200 (iqr, factor 3): clipped",
            "9 rows filled with the median, 4,050, and an input says where",
            "the target is missing, column species rows 3, 271",
            "every value is different, as in an identifier",
            "Split, stratified",
        ):
            assert text in words


def test_lineage_goes_from_the_source_to_the_test_rows(run) -> None:
    words = Outline(pages_of(run)[0]).words
    places = [
        words.index(text) for text in ("penguins.csv source 111111111111", "raw data", "model train 444444444444")
    ]
    assert places == sorted(places)
    assert "sha256:" + "5" * 64 in words


def test_the_call_can_be_pasted_into_a_shell(run_of) -> None:
    words = Outline(pages_of(run_of())[0]).words
    assert "runwright serve .runwright/penguins/serving" in words
    assert """curl -s localhost:8080/v1/models/penguins:predict -d '{"instances":""" in words
    assert """Dream'"'"'s""" in words


def test_a_rejected_model_is_not_offered(run) -> None:
    words = Outline(pages_of(run)[0]).words
    assert "A rejected model is not published" in words
    assert "runwright serve" not in words


def test_regression(run_of) -> None:
    page = pages_of(run_of(task="regression"))[0]
    words = Outline(page).words
    assert "guessing the mean: 812" in words
    assert "Truth and prediction" in words
    assert "Confusion matrix" not in words
    assert Outline(page).crossed == []


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_hostile_names_are_text(run_of, task: str) -> None:
    check = Check(metric="accuracy", value=0.1, min=0.2, passed=False, message=f"accuracy on {HOSTILE}=1 is low")
    run = run_of(labels=(HOSTILE, "b", "c"), column=HOSTILE, task=task, checks=(check,))
    for page in pages_of(run, name=HOSTILE)[:2]:
        outline = Outline(page)
        assert outline.crossed == []
        assert "script" not in outline.tags
        assert "img" not in outline.tags
        assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
        assert "alert(1)</script>" in outline.words
        assert "{{ 7*7 }}" in outline.words
        assert "ß中" in page


def test_same_run_same_bytes(run) -> None:
    assert pages_of(run) == pages_of(run)


@pytest.mark.parametrize(("classes", "rows"), [(2, 50), (6, 80), (40, 200)])
def test_few_and_many_classes(run_of, classes: int, rows: int) -> None:
    page = pages_of(run_of(labels=tuple(f"class-{index}" for index in range(classes)), rows=rows))[0]
    outline = Outline(page)
    assert outline.crossed == []
    assert ("Confusion matrix" in outline.words) == (classes <= 16)
    assert "Most frequent mistakes" in outline.words


@pytest.mark.parametrize("epochs", [0, 1, 400])
def test_histories_of_any_length(run_of, epochs: int) -> None:
    run = run_of(epochs=epochs)
    page = curves_page(run.model)
    assert Outline(page).crossed == []
    assert "nan" not in page.lower().replace("nance", "")


def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        quality_page(tmp_path)
    assert caught.value.reason is Reason.DATA_UNREADABLE
    assert "manifest.json is missing" in caught.value.message


def test_trees_have_rounds_and_the_importance_of_their_inputs(run_of) -> None:
    run = run_of(column=HOSTILE)
    trees = TreesConfig.of("lightgbm", "classification")
    model = ModelConfig(name="lightgbm", trees=trees)
    ModelManifest.read(run.model).model_copy(update={"model": model}).write(run.model)
    history = History.read(run.model, HISTORY)
    importance = {HOSTILE: 0.2, **{f"input {index}": 0.8 * (20 - index) / 210 for index in range(20)}}
    history.model_copy(update={"importance": importance}).write(run.model, HISTORY)
    page = curves_page(run.model)
    outline = Outline(page)
    assert outline.crossed == []
    assert "script" not in outline.tags
    assert "trees of 20 leaves, learning rate 0.05" in outline.words
    assert "the trees are those up to the end of round 25" in outline.words
    assert "Importance" in outline.words
    assert "Learning rate" not in outline.words
    assert "input 10" in outline.words
    assert "input 11" not in outline.words, "the twelve that gained most are drawn"
