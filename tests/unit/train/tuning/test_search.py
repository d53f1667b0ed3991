"""Searches with real trainings in processes of their own: what they leave, and what a kill in the middle leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.contract.artifacts import HISTORY, MANIFEST, History, ModelManifest
from runwright_components.contract.config import ParameterConfig, TrainConfig, TuneConfig
from runwright_components.contract.files import folder_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress
from runwright_components.contract.tuning import JOURNAL, TUNING, Tuning
from runwright_components.contract.tuning import SEARCH as FOLDER
from runwright_components.train import train
from runwright_components.train.tuning.result import shown

RATE = ParameterConfig(key="learningRate", path=("learning_rate",), type="float", min=1e-3, max=0.05, log=True)
RATES = ParameterConfig(key="learningRate", path=("learning_rate",), type="choice", choices=(1e-7, 0.02))

Search = Callable[..., ModelManifest]


def tuned(config: TrainConfig, *parameters: ParameterConfig, epochs: int = 4, **fields: Any) -> TrainConfig:
    given = {"trials": 3, "pruning": "none", "metric": "loss", **fields}
    tune = TuneConfig.model_validate({"parameters": parameters or (RATE,), **given})
    return config.model_copy(update={"tune": tune, "epochs": epochs, "early_stopping": None})


@pytest.fixture
def search(tables: Path, tmp_path: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(config: TrainConfig, *, resume: bool = False, out: str = "model") -> ModelManifest:
        return train(
            config,
            prepared=tables,
            out=tmp_path / out,
            checkpoints=tmp_path / "checkpoints",
            resume=resume,
            progress=progress,
        )

    return run


def test_the_best_trials_model_goes_on(
    search: Search, config: TrainConfig, tmp_path: Path, events: list[Event]
) -> None:
    asked = tuned(config, parallel=2, trials=4)
    manifest = search(asked)
    tuning = Tuning.read(tmp_path / "model", TUNING)
    assert [trial.state for trial in tuning.trials] == ["complete"] * 4
    assert tuning.winner.value == min(trial.value for trial in tuning.trials if trial.value is not None)
    assert (tuning.ended, tuning.metric, tuning.direction) == ("trials", "loss", "minimize")
    assert manifest.files == folder_files(tmp_path / "model", without=[MANIFEST])
    assert TUNING in manifest.files
    assert manifest.lineage.config == asked.digest()
    left = [path.name for path in (tmp_path / "checkpoints" / FOLDER).glob("trial-*")]
    assert left == [f"trial-{tuning.best:05d}"], "no other trial's folder stays"
    notes = [event.message for event in events if event.kind == "note"]
    assert any("the best so far: learningRate 0.0" in note for note in notes)
    bars = [event for event in events if event.kind == "progress"]
    assert (bars[-1].unit, bars[-1].total) == ("trials", 4)
    assert any("best" in event.values for event in bars)


def test_a_trial_is_the_training_that_its_values_make(search: Search, config: TrainConfig, tmp_path: Path) -> None:
    searched = search(tuned(config, RATES, algorithm="grid", trials=None))
    assert Tuning.read(tmp_path / "model", TUNING).winner.values == {"learningRate": 0.02}
    alone = search(config.model_copy(update={"learning_rate": 0.02, "early_stopping": None}), out="alone")
    assert searched.digest == alone.digest


SCRIPT = """
import sys
from pathlib import Path
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.progress import silent
from runwright_components.train import train

if __name__ == "__main__":
    config, prepared, folder = sys.argv[1:]
    train(
        TrainConfig.model_validate_json(Path(config).read_text()),
        prepared=Path(prepared),
        out=Path(folder) / "model",
        checkpoints=Path(folder) / "checkpoints",
        resume=True,
        progress=silent("train"),
    )
"""


def children(pid: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return {int(line) for line in found.stdout.split()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_search_cut_short_repeats_no_finished_trial_and_continues_the_one_that_ran(
    search: Search, config: TrainConfig, tables: Path, tmp_path: Path, events: list[Event], number: int
) -> None:
    # The grid tries the hopeless rate first with this seed; the good one is cut short, and must win in the end.
    asked = tuned(config, RATES, algorithm="grid", trials=None, epochs=60, seed=0)
    asked = asked.model_copy(update={"checkpoint_every_steps": 8})
    (tmp_path / "search.py").write_text(SCRIPT)
    (tmp_path / "config.json").write_text(asked.model_dump_json())
    command = [sys.executable, tmp_path / "search.py", tmp_path / "config.json", tables, tmp_path]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    second = tmp_path / "checkpoints" / FOLDER / "trial-00001" / "checkpoints"
    try:
        until = time.monotonic() + 120
        while not any(second.glob("step-*")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        trials = children(process.pid)
        assert trials
        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
    until = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{trial}/fd/0") for trial in trials):  # noqa: PTH110
        assert time.monotonic() < until, "the trials die with the search"
        time.sleep(0.05)
    journal = (tmp_path / "checkpoints" / FOLDER / JOURNAL).read_text()

    search(asked, resume=True)
    assert (tmp_path / "checkpoints" / FOLDER / JOURNAL).read_text().startswith(journal[: journal.rfind("\n") + 1])
    tuning = Tuning.read(tmp_path / "model", TUNING)
    assert [(trial.number, trial.state, trial.epochs) for trial in tuning.trials] == [
        (0, "complete", 60),
        (1, "complete", 60),
    ]
    assert tuning.best == 1
    assert tuning.winner.values == {"learningRate": 0.02}
    assert History.read(tmp_path / "model", HISTORY).resumed_from_step > 0
    notes = [event.message for event in events if event.kind == "note"]
    assert "going on with the search: 1 trials have ended, 1 go on" in notes
    assert not any(note.startswith("trial 0") for note in notes), "it is not trained again"


def test_without_resume_a_search_begins_anew(search: Search, config: TrainConfig, tmp_path: Path) -> None:
    asked = tuned(config, trials=1, epochs=1)
    search(asked)
    search(asked, out="second")
    assert len(Tuning.read(tmp_path / "second", TUNING).trials) == 1
    journal = (tmp_path / "checkpoints" / FOLDER / JOURNAL).read_text()
    assert journal.count('"op_code":4') == 1, "one trial was created"


def test_pruning_stops_a_trial_at_the_epoch_that_decides(search: Search, config: TrainConfig, tmp_path: Path) -> None:
    rates = RATES.model_copy(update={"choices": (0.02, 0.021, 0.022, 0.023, 0.024, 1e-7)})
    asked = tuned(config, rates, algorithm="grid", trials=None, pruning="median", warmup_epochs=2, epochs=6, seed=19)
    search(asked)
    trials = Tuning.read(tmp_path / "model", TUNING).trials
    hopeless = next(trial for trial in trials if trial.values == {"learningRate": 1e-7})
    assert hopeless.number == 5, "the seed puts it last, when there is a median"
    assert (hopeless.state, hopeless.epochs) == ("pruned", 2)
    assert all(trial.state == "complete" for trial in trials if trial is not hopeless)


def test_a_spent_budget_gives_up_what_runs(search: Search, config: TrainConfig, tmp_path: Path) -> None:
    epochs = ParameterConfig(key="epochs", path=("epochs",), type="choice", choices=(1, 100_000))
    began = time.monotonic()
    search(tuned(config, epochs, algorithm="grid", trials=None, seconds=8.0, parallel=2))
    assert time.monotonic() - began < 1200, "the long trial would take an hour"
    tuning = Tuning.read(tmp_path / "model", TUNING)
    assert {(trial.values["epochs"], trial.state) for trial in tuning.trials} == {(1, "complete"), (100_000, "stopped")}
    assert tuning.ended == "time"


def test_a_failed_trial_is_told_and_the_others_go_on(
    search: Search, config: TrainConfig, tmp_path: Path, events: list[Event]
) -> None:
    batch = ParameterConfig(key="batchSize", path=("batch_size",), type="choice", choices=(1, 32))
    search(tuned(config, batch, algorithm="grid", trials=None, epochs=1))
    states = {trial.values["batchSize"]: trial.state for trial in Tuning.read(tmp_path / "model", TUNING).trials}
    assert states == {1: "failed", 32: "complete"}
    warnings = [event.message for event in events if event.kind == "warning"]
    assert any("batches of 1 row cannot be normalized" in warning and "batchSize 1" in warning for warning in warnings)


def test_when_all_trials_fail_the_first_failure_is_told(search: Search, config: TrainConfig) -> None:
    batch = ParameterConfig(key="batchSize", path=("batch_size",), type="choice", choices=(1,))
    with pytest.raises(StageError) as caught:
        search(tuned(config, batch, RATE, trials=20))
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.message.startswith("none of 5 trials has given a model; the first: batches of 1 row")
    assert "set it to 4 or more" in caught.value.cure


def test_a_trial_without_memory_is_a_failed_one(search: Search, config: TrainConfig, tmp_path: Path) -> None:
    hidden = ParameterConfig(key="h", path=("model", "hidden"), type="choice", choices=([8], [1 << 19, 1 << 19]))
    search(tuned(config, hidden, algorithm="grid", trials=None, epochs=1))
    trials = {json.dumps(trial.values["h"]): trial for trial in Tuning.read(tmp_path / "model", TUNING).trials}
    assert trials["[8]"].state == "complete"
    assert trials[f"[{1 << 19}, {1 << 19}]"].state == "failed", "it asks for a terabyte"


def test_values_are_told_shortly() -> None:
    values = {"learningRate": 0.000123456, "model.hidden": [64, 64], "optimizer": "adamw"}
    assert shown(values) == 'learningRate 0.0001235, model.hidden [64,64], optimizer "adamw"'
    assert shown({f"p{index}": index for index in range(9)}).endswith("p5 5, and 3 more")
