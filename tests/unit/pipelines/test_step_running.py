"""How a stage starts, ends and fails inside a step."""

import json
from pathlib import Path
from typing import Any

import pytest

from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import PROGRESS_ENV, Progress
from runwright_components.contract.step import NO_CACHE_ENV, RESUME_ENV, WORKSPACE_ENV
from runwright_components.steps.running import Surroundings, as_stage_error, running


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A call gives the events so far."""
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv(PROGRESS_ENV, str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_a_stage_that_ends_well(tmp_path: Path, events: Any) -> None:
    with running("train", tmp_path) as ending:
        ending.progress.emit("start")
        ending.progress.note("half way")
        ending.progress.emit("done", "its own word")
        ending.message = "3 epochs"
    assert [(event["kind"], event.get("message", "")) for event in events()] == [
        ("start", ""),
        ("note", "half way"),
        ("done", "3 epochs"),
    ]


def test_a_failure_that_a_person_can_mend(tmp_path: Path, events: Any) -> None:
    with pytest.raises(SystemExit) as ended, running("prepare", tmp_path):
        raise StageError(Reason.DATA_INVALID, "row 3 is ragged", where="a.csv", cure="mend it")
    assert ended.value.code == ExitCode.USER
    failed = events()[-1]
    assert failed["kind"] == "failed"
    assert failed["error"] == {
        "reason": "DataInvalid",
        "message": "row 3 is ragged",
        "where": "a.csv",
        "cure": "mend it",
        "exitCode": 10,
    }


def test_a_defect_keeps_its_traceback_in_a_file(tmp_path: Path, events: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended, running("train", tmp_path):
        {}["missing"]
    assert ended.value.code == ExitCode.INTERNAL
    error = events()[-1]["error"]
    assert error["reason"] == "InternalError"
    assert error["trace"][-1] == "KeyError: 'missing'"
    assert "KeyError: 'missing'" in Path(error["log"]).read_text()
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), Reason.OUT_OF_MEMORY),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), Reason.OUT_OF_MEMORY),
        (KeyboardInterrupt(), Reason.CANCELLED),
        (ValueError("x"), Reason.INTERNAL),
    ],
)
def test_reasons(error: BaseException, reason: Reason) -> None:
    assert as_stage_error(error).reason is reason


def test_a_full_disk_anywhere_in_a_stage(tmp_path: Path, events: Any) -> None:
    with pytest.raises(SystemExit) as ended, running("prepare", tmp_path), Path("/dev/full").open("wb", 0) as file:
        file.write(b"x")
    assert ended.value.code == ExitCode.TRANSIENT
    assert events()[-1]["error"]["reason"] == "StorageFull"


def _kept(here: Surroundings, target: Path, made: list[str], config: str = "c") -> None:
    def make(_progress: Progress, key: str) -> None:
        made.append(key)
        target.write_text("result")

    here.kept(
        "collect", config=config, inputs=lambda: {"sources": "1"}, outputs={"raw": target}, make=make, say=lambda: "ok"
    )


def test_the_second_time_nothing_runs(tmp_path: Path, events: Any) -> None:
    here, made = Surroundings(tmp_path), []
    _kept(here, tmp_path / "one", made)
    _kept(here, tmp_path / "two", made)
    assert len(made) == 1
    assert (tmp_path / "two").read_text() == "result"
    assert [event["kind"] for event in events()] == ["start", "done", "start", "cached"]
    _kept(here, tmp_path / "three", made, config="other")
    assert len(made) == 2


def test_without_the_cache_every_stage_runs_and_its_result_is_kept(tmp_path: Path, events: Any) -> None:
    made: list[str] = []
    _kept(Surroundings(tmp_path, use_cache=False), tmp_path / "one", made)
    _kept(Surroundings(tmp_path, use_cache=False), tmp_path / "two", made)
    assert len(made) == 2
    _kept(Surroundings(tmp_path), tmp_path / "three", made)
    assert len(made) == 2


def test_a_stage_that_failed_is_not_kept(tmp_path: Path, events: Any) -> None:
    def make(_progress: Progress, _key: str) -> None:
        raise StageError(Reason.DATA_INVALID, "no")

    with pytest.raises(SystemExit):
        Surroundings(tmp_path).kept(
            "collect", config="c", inputs=dict, outputs={"raw": tmp_path / "one"}, make=make, say=str
        )
    assert not (tmp_path / "cache").exists()


def test_checkpoints_stay_when_training_is_cut_short_and_go_when_it_is_done(tmp_path: Path) -> None:
    here = Surroundings(tmp_path)
    with pytest.raises(KeyboardInterrupt), here.checkpoints("k" * 64, beside=tmp_path / "model") as folder:
        (folder / "step-10").write_text("state")
        raise KeyboardInterrupt
    with here.checkpoints("k" * 64, beside=tmp_path / "model") as folder:
        assert (folder / "step-10").read_text() == "state"
    assert not folder.exists()


def test_surroundings_come_from_the_environment() -> None:
    assert Surroundings.of({}) == Surroundings(None)
    environment = {WORKSPACE_ENV: "/w", RESUME_ENV: "1", NO_CACHE_ENV: "1"}
    assert Surroundings.of(environment) == Surroundings(Path("/w"), resume=True, use_cache=False)
