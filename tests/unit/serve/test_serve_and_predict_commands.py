"""`runwright serve` and `runwright predict`: which model they mean, their answers, and what they say of bad input."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from click.testing import CliRunner, Result

from runwright_cli.main import cli
from runwright_components.serve.predictor import Predictor

ROWS = [
    {"mass": "3,5 kg", "bill": 39.1, "island": "Biscoe", "year": 2007, "tagged": "yes", "seen": "2007-11-11"},
    {"mass": None, "bill": 50.25, "island": "Mars", "year": 2008, "tagged": "off", "seen": None},
]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path, text: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=text)

    return command


@pytest.fixture
def workspace(tmp_path: Path, built: Path) -> Path:
    """What `runwright run` leaves: two versions in the registry, the second one serves."""
    home = tmp_path / ".runwright" / "penguins"
    for version in ("1", "2"):
        shutil.copytree(built / "penguins", home / "registry" / "penguins" / version)
    (home / "serving").symlink_to("registry/penguins/1")
    return home


def expected(penguins: Path) -> list[dict[str, Any]]:
    predictor = Predictor(penguins)
    answer = predictor.predict_rows(ROWS)
    assert answer.labels is not None
    assert answer.probabilities is not None
    return [
        {"label": label, "probabilities": dict(zip(predictor.signature.labels, row, strict=True))}
        for label, row in zip(answer.labels, answer.probabilities.tolist(), strict=True)
    ]


def test_every_form_of_rows_gives_the_predictors_answers(run: Run, penguins: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    (tmp_path / "request.json").write_text(json.dumps({"instances": ROWS}))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    table = pl.DataFrame({**{name: [row[name] for row in ROWS] for name in ROWS[0]}, "note": ["a", "b"], "id": [1, 2]})
    table.write_csv(tmp_path / "rows.csv")
    table.with_columns(pl.col("seen").str.to_date(), bill=pl.col("bill")).write_parquet(tmp_path / "rows.parquet")
    for name in ("rows.json", "request.json", "rows.jsonl", "rows.csv", "rows.parquet"):
        done = run("predict", penguins, "--input", name)
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout) == {"predictions": expected(penguins)}, name
        assert ("not used: note" in done.stderr) == (name in ("rows.csv", "rows.parquet"))
    one = run("predict", penguins, "--input", "-", text=json.dumps(ROWS[0]))
    assert len(json.loads(one.stdout)["predictions"]) == 1


def test_it_writes_tables_and_files(run: Run, penguins: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    table = run("predict", penguins, "--input", "rows.json", "--format", "table").stdout
    assert "probability Gentoo" in " ".join(table.split())
    assert run("predict", penguins, "--input", "rows.json", "--output", "out/answers.csv").exit_code == 0
    frame = pl.read_csv(tmp_path / "out/answers.csv")
    assert frame.columns == ["label", "probability Adelie", "probability Chinstrap", "probability Gentoo"]
    answers = expected(penguins)
    assert frame["label"].to_list() == [answer["label"] for answer in answers]
    assert frame["probability Gentoo"].to_list() == [answer["probabilities"]["Gentoo"] for answer in answers]


def test_a_model_is_found_by_folder_name_version_and_alone(run: Run, workspace: Path, tmp_path: Path) -> None:
    text = json.dumps(ROWS)
    for target in (
        [],
        ["penguins"],
        ["penguins/2"],
        [str(workspace)],
        [str(workspace / "registry" / "penguins")],
        [str(workspace / "registry" / "penguins" / "1")],
        ["."],
    ):
        done = run("predict", *target, "--input", "-", text=text)
        assert done.exit_code == 0, done.stderr
    shutil.copytree(workspace, tmp_path / ".runwright" / "other", symlinks=True)
    done = run("predict", "--input", "-", text=text)
    assert done.exit_code == 1
    assert "say which model" in done.stderr
    assert "name one of: other, penguins" in done.stderr
    done = run("predict", "pinguins", "--input", "-", text=text)
    assert done.exit_code == 1
    assert 'there is no model "pinguins"' in done.stderr


def test_without_any_model_it_says_how_to_make_one(run: Run) -> None:
    for command in (["serve"], ["predict", "--input", "-"]):
        done = run(*command, text="[]")
        assert done.exit_code == 1
        assert "there is no model here yet" in done.stderr
        assert "runwright run FILE" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.json", None, "absent.json: there is no such file"),
        ("absent.csv", None, "absent.csv: there is no such file"),
        ("bad.json", "[{", "bad.json: not JSON: "),
        ("bad.jsonl", '{"mass": 1}\n{', "bad.jsonl, line 2: not JSON: "),
        ("empty.json", "[]", "empty.json: instances: the batch is empty"),
        (
            "rows.json",
            json.dumps([ROWS[0], {**ROWS[1], "bill": [1]}]),
            "instances[1].bill: expected a number",
        ),
        ("text.json", '"text"', "expected a list of rows, got a string"),
        ("nan.json", json.dumps([{**ROWS[0], "bill": float("nan")}]), "nan is not a finite number"),
        ("rows.csv", "mass,bil\n1,2\n", 'missing fields "bill", "island", "year", "tagged", "seen"'),
        ("words.csv", "mass,bill,island,year,tagged,seen\n1,wide,x,2007,yes,2007-01-01\n", "inputs.bill.data[0]"),
        ("header.csv", "mass,bill\n", "header.csv: the file has no rows"),
        ("not.parquet", "PAR1 no", "not.parquet: not a readable parquet file"),
    ],
)
def test_bad_input_is_said_without_a_trace(
    run: Run, penguins: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = run("predict", penguins, "--input", name, "--output", "answers.json")
    assert done.exit_code == 1
    assert message in done.stderr
    assert isinstance(done.exception, SystemExit)
    assert not (tmp_path / "answers.json").exists()


def test_an_altered_package_is_refused_by_both(run: Run, workspace: Path) -> None:
    folder = workspace / "registry/penguins/1"
    (folder / "preprocessing/state.json").write_text("{}")
    for command in (["predict", "--input", "-"], ["serve", "--port", "0"]):
        done = run(*command, text=json.dumps(ROWS))
        assert done.exit_code == 1
        assert "preprocessing/state.json was altered" in done.stderr
        assert "cure: " in done.stderr
        assert isinstance(done.exception, SystemExit)


@pytest.fixture
def served(workspace: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`runwright serve` in a workspace's folder, and its line that says how to ask."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from runwright_cli.main import main; main()", "serve", "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    line = next((line for line in process.stdout if "curl" in line), "")
    yield process, line
    process.kill()
    process.communicate()


def test_serve_prints_a_curl_line_that_works(
    served: tuple[subprocess.Popen[str], str], run: Run, workspace: Path
) -> None:
    process, line = served
    program, _, header, _, data, url = shlex.split(line)
    assert program == "curl"
    name, _, value = header.partition(": ")
    answer = httpx.post(url, content=data, headers={name: value}, timeout=30)
    assert answer.status_code == 200, answer.text
    example = (workspace / "serving/example.json").read_text()
    assert answer.json() == json.loads(run("predict", "--input", "-", text=example).stdout)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert "Traceback" not in process.communicate()[1]
