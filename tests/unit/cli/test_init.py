"""`init` writes a file that is valid, from every kind of data, and never over another one."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from click.testing import Result
from PIL import Image

from runwright_api.loading import load_file
from runwright_api.spec.model import Task
from runwright_api.trainingrun import TrainingRun
from runwright_cli.starter import run_name
from runwright_cli.starts import STARTS
from runwright_components.contract.outcome import StageError

Invoke = Callable[..., Result]


def _table(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path.write_text(text.getvalue())
    return path


def _init(invoke: Invoke, data: Path, *arguments: str) -> TrainingRun:
    out = data.parent / "out.yaml"
    result = invoke("init", data, "-o", out, *arguments)
    assert result.exception is None, result.exception
    return load_file(out)


def test_a_classification_table(invoke: Invoke, tmp_path: Path) -> None:
    rows = [[i, f"c-{i}", i % 7, "x", ("yes", "no")[i % 2]] for i in range(60)]
    data = _table(tmp_path / "Sales 2024.csv", ["row id", "code", "amount", "constant", "churn"], rows)
    run = _init(invoke, data)
    assert run.metadata.name == "sales-2024"
    assert run.spec.data.sources[0].path == "Sales 2024.csv"
    assert (run.spec.train.task, run.spec.prepare.target) == ("tabular-classification", "churn")
    assert {column.name for column in run.spec.prepare.columns} == {"row id", "code", "constant"}
    text = (tmp_path / "out.yaml").read_text()
    assert "# it has no more than one value" in text
    assert "by its name" in text


def test_a_regression_table(invoke: Invoke, tmp_path: Path) -> None:
    data = _table(tmp_path / "houses.csv", ["rooms", "value"], [[i % 5, i * 1.5] for i in range(60)])
    run = _init(invoke, data)
    assert (run.spec.train.task, run.spec.prepare.target) == ("tabular-regression", "value")
    assert run.spec.prepare.split.strategy == "random"


def test_the_target_that_the_user_names(invoke: Invoke, tmp_path: Path) -> None:
    data = _table(tmp_path / "a.csv", ["kind", "value"], [["ab"[i % 2], i] for i in range(60)])
    assert _init(invoke, data, "--target", "kind").spec.train.task == "tabular-classification"
    with pytest.raises(StageError, match="no column 'kid'") as raised:
        raise invoke("init", data, "-o", tmp_path / "b.yaml", "--target", "kid").exception  # type: ignore[misc]
    assert "did you mean 'kind'" in raised.value.cure
    assert not (tmp_path / "b.yaml").exists()


def test_prose_is_text(invoke: Invoke, tmp_path: Path) -> None:
    rows = [
        [f"this is sentence number {i}, which goes on and on for a while", ("for", "against")[i % 2]] for i in range(60)
    ]
    run = _init(invoke, _table(tmp_path / "reviews.csv", ["review", "sentiment"], rows))
    assert run.spec.train.task == "text-classification"
    assert run.spec.prepare.text.column == "review"


def test_prose_with_a_number_is_text_regression(invoke: Invoke, tmp_path: Path) -> None:
    rows = [[f"this is sentence number {i}, which goes on and on for a while", i / 7] for i in range(60)]
    run = _init(invoke, _table(tmp_path / "reviews.csv", ["review", "stars"], rows))
    assert run.spec.train.task == "text-regression"
    assert (run.spec.prepare.target, run.spec.prepare.text.column) == ("stars", "review")


def test_a_folder_of_images(invoke: Invoke, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (30, 22), number).save(tmp_path / "pets" / label / f"{number}.png")
    run = _init(invoke, tmp_path / "pets")
    assert run.spec.train.task == "image-classification"
    image = run.spec.prepare.image
    assert (image.height, image.width, image.channels) == (24, 32, 1)
    assert run.spec.data.sources[0].format == "images"


def test_a_folder_of_texts(invoke: Invoke, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        (tmp_path / "texts" / label / "0.txt").write_text(f"a text about a {label}")
    assert _init(invoke, tmp_path / "texts").spec.train.task == "text-classification"


@pytest.mark.parametrize("name", ['it\'s: "quoted" #1', "{braces}", "null", "1.5", "- dash", "täglich"])
def test_any_column_name_is_written_as_it_is(invoke: Invoke, tmp_path: Path, name: str) -> None:
    data = _table(tmp_path / "a.csv", ["value", name], [[i, "ab"[i % 2]] for i in range(60)])
    assert _init(invoke, data).spec.prepare.target == name


def test_it_does_not_write_over_a_file_unless_forced(invoke: Invoke, tmp_path: Path) -> None:
    data = _table(tmp_path / "a.csv", ["value", "label"], [[i, "ab"[i % 2]] for i in range(60)])
    out = tmp_path / "out.yaml"
    out.write_text("mine")
    with pytest.raises(StageError, match="there already"):
        raise invoke("init", data, "-o", out).exception  # type: ignore[misc]
    assert out.read_text() == "mine"
    _init(invoke, data, "--force")


def test_data_that_cannot_be_read(invoke: Invoke, tmp_path: Path) -> None:
    for content in (b"", b"a,b\n"):
        data = tmp_path / "a.csv"
        data.write_bytes(content)
        assert isinstance(invoke("init", data, "-o", tmp_path / "out.yaml").exception, StageError)
        assert not (tmp_path / "out.yaml").exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/Sales 2024.csv", "sales-2024"),
        ("2024.csv", "run"),
        ("x" * 80, "x" * 50),
        ("--.csv", "run"),
        ("é.csv", "run"),
    ],
)
def test_names_of_runs(path: str, name: str) -> None:
    assert run_name(Path(path)) == name


ROWS = [[f"2026-01-{i % 28 + 1:02}", ("north", "south")[i // 28], i * 1.5, ("a", "b")[i % 2]] for i in range(56)]
TEXTS = [[f"this is sentence number {i}, which goes on and on for a while", i / 7] for i in range(60)]
HEADERS = {"text": ["review", "stars"], "table": ["day", "place", "value", "label"]}


@pytest.mark.parametrize("task", STARTS)
def test_every_task_has_a_start_that_is_valid(invoke: Invoke, tmp_path: Path, task: str) -> None:
    """With its model and with its gate."""
    if task == "environment-control":
        data = tmp_path / "CartPole-v1"
    elif task == "image-classification":
        data = tmp_path / "pets"
        for label in ("cat", "dog"):
            (data / label).mkdir(parents=True)
            Image.new("L", (16, 16)).save(data / label / "1.png")
    elif task.startswith("text"):
        columns = 1 if task == "text-generation" else 2
        labelled = [[text, ("for", "against")[i % 2]] for i, (text, _) in enumerate(TEXTS)]
        rows = labelled if task == "text-classification" else TEXTS
        data = _table(tmp_path / "a.csv", HEADERS["text"][:columns], [row[:columns] for row in rows])
    else:
        data = _table(tmp_path / "a.csv", HEADERS["table"], ROWS)
    out = tmp_path / "out.yaml"
    target = ("--target", "value") if task in ("tabular-regression", "series-forecasting") else ()
    result = invoke("init", data, "-o", out, "--task", task, *target)
    assert result.exception is None, result.exception
    assert load_file(out).spec.train.task == task
    out.write_text(out.read_text().replace("gate: []\n    #   - ", "gate:\n      - "))
    assert load_file(out).spec.evaluate.gate, "the bound fits the task"


def test_the_table_of_starts_has_every_task() -> None:
    assert set(STARTS) == set(get_args(Task))


def test_a_series(invoke: Invoke, tmp_path: Path) -> None:
    run = _init(invoke, _table(tmp_path / "a.csv", HEADERS["table"], ROWS), "--task", "series-forecasting")
    series = run.spec.prepare.series
    assert series is not None
    assert (series.time, series.by, run.spec.prepare.target) == ("day", ("place", "label"), "value")


@pytest.mark.parametrize(
    ("header", "field", "column"),
    [
        (["instruction", "output"], "prompt", "instruction"),
        (["text"], "column", "text"),
        (["messages"], "messages", "messages"),
    ],
)
def test_what_a_language_model_learns_from(
    invoke: Invoke, tmp_path: Path, header: list[str], field: str, column: str
) -> None:
    rows: list[list[object]] = [[row[0]] * len(header) for row in TEXTS]
    run = _init(invoke, _table(tmp_path / "a.csv", header, rows))
    assert run.spec.train.task == "text-generation"
    assert getattr(run.spec.prepare.text, field) == column


def test_a_folder_of_texts_without_labels_is_a_corpus(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "one.txt").write_text("a book")
    assert _init(invoke, tmp_path / "books").spec.train.task == "text-generation"


def test_an_environment_of_a_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "house.py").write_text("class House:\n    pass\n")
    environment = _init(invoke, tmp_path / "house.py", "--task", "environment-control").spec.train.environment
    assert environment is not None
    assert (environment.file, environment.class_name) == ("house.py", "House")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("image-classification", "look like tabular-classification, not image-classification"),
        ("series-forecasting", "no column holds time stamps"),
    ],
)
def test_data_that_do_not_suit_the_task(invoke: Invoke, tmp_path: Path, task: str, message: str) -> None:
    data = _table(tmp_path / "a.csv", ["value", "label"], [[i, "ab"[i % 2]] for i in range(60)])
    with pytest.raises(StageError, match=message):
        raise invoke("init", data, "-o", tmp_path / "b.yaml", "--task", task).exception  # type: ignore[misc]
