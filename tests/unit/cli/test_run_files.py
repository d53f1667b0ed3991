"""validate, compile, --set and --dry-run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from runwright_api.problems import SpecError
from runwright_cli.files import find_workspace, read
from runwright_cli.local_notes import ignored_here

Invoke = Callable[..., Result]


def test_validate_says_which_files_are_valid(invoke: Invoke, file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(file.read_text().replace("target:", "targett:"))
    result = invoke("validate", file, wrong)
    assert result.return_value == 1
    assert f"{file}: demo is valid" in result.output
    assert "targett" in result.output
    assert "did you mean" in result.output
    assert invoke("validate", file).return_value == 0


def test_validate_for_machines(invoke: Invoke, file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(file.read_text().replace("tabular-classification", "cooking"))
    answers = json.loads(invoke("validate", "-o", "json", file, wrong).output)
    assert [answer["valid"] for answer in answers] == [True, False]
    (problem,) = answers[1]["problems"]
    assert (problem["path"], problem["line"]) == ("spec.train.task", 7)


def test_changes_from_the_command_line(file: Path) -> None:
    run = read(
        str(file),
        [
            "spec.train.epochs=3",
            "spec.data.sources[0].path=other.csv",
            "spec.evaluate.gate=[{metric: accuracy, min: 0.5}]",
            "spec.train.model.dropout=0.2",
        ],
    ).run
    assert run.spec.train.epochs == 3
    assert run.spec.data.sources[0].path == "other.csv"
    assert run.spec.evaluate.gate[0].min == 0.5
    assert run.spec.train.model.dropout == 0.2


EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("spec.train.epochs", "not PATH=VALUE"),
        ("=3", "not PATH=VALUE"),
        ("spec.train.epoch=3", 'did you mean'),
        ("spec.train.epochs=many", "spec.train.epochs"),
        ("spec.data.sources[7].path=x", "no item 7"),
        ("spec.train.task.deep=1", "not in a mapping"),
        ("spec.train.epochs=[1", "--set"),
    ],
)  # fmt: skip
def test_changes_are_validated(file: Path, change: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        read(str(file), [change])
    assert message in raised.value.render()
    assert change in raised.value.render()


def test_compile_to_a_file_and_to_the_terminal(invoke: Invoke, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "pipeline.yaml"
    invoke("compile", file, "-o", out, "--layout", "stages", "--image", "registry.example/python:1")
    printed = invoke("compile", file, "--layout", "stages", "--image", "registry.example/python:1").output
    assert out.read_text() == printed
    assert set(yaml.safe_load(printed)["root"]["dag"]["tasks"]) >= {"collect", "register"}
    assert "registry.example/python:1" in printed


def test_a_dry_run_runs_nothing(invoke: Invoke, file: Path) -> None:
    result = invoke("run", file, "--dry-run")
    assert result.return_value == 0
    assert "tabular-classification, target species" in result.output
    assert not (file.parent / ".runwright").exists()


@pytest.mark.parametrize(
    ("example", "learner"),
    [
        ("penguins/run.yaml", "mlp, at most 80 epochs"),
        ("birdstrikes/lightgbm.yaml", "lightgbm, at most 1,000 rounds"),
        ("irises/run.yaml", "gaussianmixture, fitted at once"),
        ("heating/run.yaml", "policy, at most 60,000 steps"),
        ("own-code/torch/run.yaml", "your own code, src"),
    ],
)
def test_a_dry_run_tells_what_learns_and_for_how_long(invoke: Invoke, example: str, learner: str) -> None:
    assert f"model     {learner}\n" in invoke("run", EXAMPLES / example, "--dry-run").output


def test_settings_that_only_a_cluster_uses_are_named(invoke: Invoke, file: Path) -> None:
    assert ignored_here(read(str(file)).run) == []
    changes = ["spec.train.resources.nodes=4", "spec.train.scheduling.queue=research", "spec.storage.uri=s3://b/x"]
    assert ignored_here(read(str(file), changes).run) == ["train.resources.nodes", "train.scheduling", "storage"]
    arguments = [part for change in changes for part in ("--set", change)]
    assert "spec.train.resources.nodes" in invoke("run", file, "--dry-run", *arguments).output.replace("\n", " ")


def test_the_workspace_is_found_from_file_folder_and_itself(file: Path) -> None:
    workspaces = [file.parent / ".runwright" / name for name in ("demo", "other")]
    for age, workspace in enumerate(workspaces):
        workspace.mkdir(parents=True)
        (workspace / "progress.jsonl").touch()
        import os

        os.utime(workspace / "progress.jsonl", (age, age))
    assert find_workspace(str(file)) == workspaces[0]
    assert find_workspace(str(workspaces[0])) == workspaces[0]
    assert find_workspace(str(file.parent)) == find_workspace(str(file.parent / ".runwright")) == workspaces[1]
