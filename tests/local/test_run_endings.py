"""How a run ends otherwise: rejected, failed, killed, cancelled; and what it leaves behind."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Example = Callable[[str], Path]


def _events(workspace: Path) -> list[dict[str, Any]]:
    path = workspace / "progress.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def _training(workspace: Path, steps: int = 1) -> bool:
    return any(event["stage"] == "train" and event.get("done", 0) >= steps for event in _events(workspace))


def _processes_of(workspace: Path) -> list[str]:
    """Command lines of the processes that work in a workspace, by their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and str(workspace).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def test_a_rejected_model_is_not_published(example: Example, runwright: Any) -> None:
    file = example("penguins")
    few, workspace = ("--set", "spec.train.epochs=1"), file.parent / ".runwright" / "penguins"
    rejected = runwright("run", file, *few, "--set", "spec.evaluate.gate=[{metric: r2, min: 0.999}]")
    assert rejected.code == 2, rejected.text
    assert "gate rejected" in rejected.out
    assert "≥ 0.999" in rejected.out
    assert (workspace / "report.html").is_file()
    assert not list(workspace.glob("registry/*/*"))
    assert not (workspace / "serving").exists()
    assert not list(workspace.glob("artifacts/*/*/package"))

    judged_again = runwright("run", file, *few, "--set", "spec.evaluate.gate=[{metric: r2, min: -100}]")
    assert judged_again.code == 0, judged_again.text
    kinds = {event["stage"]: event["kind"] for event in _events(workspace)}
    assert kinds["train"] == "cached", "another gate judges the same model"


def test_a_failure_says_stage_reason_place_and_cure_and_leaves_no_artifact(example: Example, runwright: Any) -> None:
    file = example("penguins")
    failed = runwright("run", file, "--set", "spec.prepare.target=Nothing Like It")
    assert failed.code == 1, failed.text
    assert "prepare failed: DataInvalid" in failed.err
    assert "Nothing Like It" in failed.err
    assert "cure:" in failed.err
    assert "Traceback" not in failed.text
    assert len(failed.err.splitlines()) < 40
    workspace = file.parent / ".runwright" / "penguins"
    assert not list(workspace.glob("artifacts/*/*/prepared_data"))
    assert not (workspace / "cache" / "prepare").exists()


def test_a_source_that_is_not_there(example: Example, runwright: Any) -> None:
    file = example("penguins")
    (file.parent / "data" / "penguins.csv").unlink()
    failed = runwright("run", file)
    assert failed.code == 1
    assert "collect failed: SourceNotFound" in failed.err
    assert "penguins.csv" in failed.err


def test_a_killed_run_goes_on_where_it_was(example: Example, runwright: Any, wait_for: Any) -> None:
    file = example("penguins")
    arguments = ("run", file, "--set", "spec.train.epochs=60", "--set", "spec.train.earlyStopping={enabled: false}")
    workspace = file.parent / ".runwright" / "penguins"
    killed = runwright.start(*arguments)
    wait_for(lambda: _training(workspace, steps=80))
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    wait_for(lambda: not _processes_of(workspace), seconds=20)
    assert not list(workspace.glob("artifacts/*/*/model"))
    assert not (workspace / "cache" / "train").exists()

    resumed = runwright(*arguments, "--resume")
    assert resumed.code in (0, 2), resumed.text
    history = json.loads(next(workspace.glob("artifacts/*/*/model/history.json")).read_text())
    assert history["resumed_from_step"] > 0
    assert len(history["epochs"]) == 60
    kinds = {event["stage"]: event["kind"] for event in _events(workspace)}
    assert kinds["prepare"] == "cached"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_run_ends_soon_with_all_its_processes(
    name: signal.Signals, example: Example, runwright: Any, wait_for: Any
) -> None:
    file = example("penguins")
    workspace = file.parent / ".runwright" / "penguins"
    process = runwright.start("run", file, "--set", "spec.train.epochs=5000")
    wait_for(lambda: _training(workspace))
    began = time.monotonic()
    process.send_signal(name)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "cancelled" in out
    assert "--resume" in out
    assert "Traceback" not in out + err
    assert time.monotonic() - began < 20
    wait_for(lambda: not _processes_of(workspace), seconds=10)
    assert not list(workspace.glob("artifacts/*/*/model"))


def test_two_runs_do_not_share_a_workspace(example: Example, runwright: Any, wait_for: Any) -> None:
    file = example("penguins")
    workspace = file.parent / ".runwright" / "penguins"
    first = runwright.start("run", file, "--set", "spec.train.epochs=5000")
    wait_for(lambda: bool(_events(workspace)))
    second = runwright("run", file)
    assert second.code == 1
    assert "another run works in this workspace" in second.err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)


def test_paths_that_kfp_would_rewrite(tmp_path: Path, example: Example, runwright: Any) -> None:
    """KFP's local runner replaces `python3` wherever it stands in a step's arguments."""
    file = example("penguins")
    moved = file.parent.rename(tmp_path / "my python3 {{course}}")
    ended = runwright("run", moved / "run.yaml", "--set", "spec.train.epochs=1", "--set", "spec.evaluate.gate=[]")
    assert ended.code == 0, ended.text
    assert (moved / ".runwright" / "penguins" / "registry" / "penguins" / "1" / "model.onnx").is_file()
