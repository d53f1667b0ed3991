"""What user code finds and what becomes of what it leaves: the contract of docs/own-code.md."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    OUTPUTS,
    RAW_TEST,
    WEIGHTS,
    History,
    ModelManifest,
)
from runwright_components.contract.config import CodeConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event
from runwright_components.serve.predictor import Predictor
from runwright_components.train.code.parity import difference

Run = Callable[..., ModelManifest]
SAVE = "from linear import *\nsave(graph(*fit()))\n"


def test_the_exported_graph_answers_like_any_model(run: Run, flowers: Path, tmp_path: Path) -> None:
    manifest = run(flowers, path="linear.py")
    assert manifest.model.name == "code"
    assert manifest.parameters == 3 * 3 + 3
    assert [tensor.name for tensor in manifest.signature.tensors] == ["numeric", "logits"]
    predictor = Predictor(tmp_path / "model")
    rows = pl.read_parquet(flowers / RAW_TEST)
    said = predictor.predict(rows)
    assert said.labels is not None
    assert np.mean(np.array(said.labels) == rows["kind"].to_numpy()) > 0.8
    assert predictor.predict_rows([manifest.signature.example]).labels is not None


def test_a_regression_may_leave_a_column(run: Run, weights: Path, tmp_path: Path) -> None:
    run(weights, "from linear import *\nsave(graph(*fit(), name='variable'))\n")
    rows = pl.read_parquet(weights / RAW_TEST)
    said = Predictor(tmp_path / "model").predict(rows).values
    assert said is not None
    assert np.corrcoef(said, rows["weight"].to_numpy())[0, 1] > 0.99


def test_the_variables_and_folders(run: Run, flowers: Path, home: Path, tmp_path: Path) -> None:
    script = SAVE + (
        "config = json.loads(Path(os.environ['RUNWRIGHT_CONFIG']).read_text())\n"
        "found = {'files': sorted(path.name for path in data.iterdir()), 'config': config, 'schema': schema,\n"
        "    'variables': sorted(name for name in os.environ if name.startswith('RUNWRIGHT')),\n"
        "    'resume': os.environ['RUNWRIGHT_RESUME'], 'cwd': os.getcwd(),\n"
        "    'checkpoints': os.environ['RUNWRIGHT_CHECKPOINTS'], 'model': os.environ['RUNWRIGHT_MODEL']}\n"
        "Path('found.json').write_text(json.dumps(found))\n"
    )
    run(flowers, script)
    found = json.loads((home / "found.json").read_text())
    names = ("CHECKPOINTS", "CONFIG", "DATA", "METRICS", "MODEL", "RESUME")
    assert found["variables"] == [f"RUNWRIGHT_{name}" for name in names]
    assert found["files"] == ["preprocessing", "schema.json", "train.parquet", "validation.parquet"], "no test rows"
    assert (found["resume"], found["cwd"]) == ("0", str(home))
    assert found["checkpoints"] == str(tmp_path / "checkpoints")
    assert not Path(found["model"]).exists(), "only the model stays"
    assert (found["config"]["batchSize"], found["config"]["learningRate"], found["config"]["seed"]) == (32, 0.001, 0)
    assert {"code", "model", "base"}.isdisjoint(found["config"])
    schema = found["schema"]
    assert schema["labels"] == ["setosa", "versicolor", "virginica"]
    assert schema["output"] == {"name": "logits", "dtype": "float32", "shape": [None, 3]}
    numeric, categorical = schema["inputs"]
    assert sorted(numeric["columns"]) == ["n:length", "n:weight", "n:width"]
    assert (categorical["columns"], categorical["dtype"]) == (["c:colour"], "int64")
    assert len(categorical["sizes"]) == 1


def test_secrets_are_kept_from_the_code_unless_it_asks(
    run: Run, flowers: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("API_TOKEN", "hidden")
    monkeypatch.setenv("WANDB_API_KEY", "asked-for")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    script = SAVE + "Path('seen').write_text(json.dumps(dict(os.environ)))\n"
    run(flowers, script, env={"DEPTH": "6"}, pass_env=("WANDB_API_KEY", "NOT_THERE"))
    seen = json.loads((home / "seen").read_text())
    assert (seen["DEPTH"], seen["WANDB_API_KEY"]) == ("6", "asked-for")
    assert "PATH" in seen
    assert not {"AWS_SECRET_ACCESS_KEY", "API_TOKEN", "KUBERNETES_SERVICE_HOST", "NOT_THERE"} & seen.keys()


def test_arguments_are_passed_as_they_are(run: Run, flowers: Path, home: Path) -> None:
    script = SAVE + "import sys\nPath('argv').write_text(json.dumps(sys.argv[1:]))\n"
    run(flowers, script, args=("--depth", "6", "a b", "$HOME", "*"))
    assert json.loads((home / "argv").read_text()) == ["--depth", "6", "a b", "$HOME", "*"]


@pytest.mark.parametrize("entrypoint", ["churn.train", "churn.train:main"])
def test_a_module_or_a_function_of_a_folder(run: Run, flowers: Path, home: Path, entrypoint: str) -> None:
    package = home / "src" / "churn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (home / "linear.py").rename(package / "linear.py")
    (package / "train.py").write_text(
        "from churn.linear import fit, graph, save\n\ndef main():\n    save(graph(*fit()))\n\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    assert run(flowers, path="src", entrypoint=entrypoint).parameters == 12


def test_a_command(run: Run, flowers: Path) -> None:
    assert run(flowers, command=("python", "linear.py")).parameters == 12


def test_probabilities_become_logits(run: Run, flowers: Path, tmp_path: Path) -> None:
    script = (
        "from linear import *\n"
        "model = graph(*fit(), name='scores')\n"
        "model.graph.node.append(helper.make_node('Softmax', ['scores'], ['probabilities']))\n"
        "model.graph.output[0].name = 'probabilities'\n"
        "save(model)\n"
    )
    run(flowers, script)
    rows = pl.read_parquet(flowers / RAW_TEST)
    likely = Predictor(tmp_path / "model").predict(rows).probabilities
    assert likely is not None
    assert np.allclose(likely.sum(axis=1), 1)


def test_metrics_become_progress_and_learning_curves(
    run: Run, flowers: Path, tmp_path: Path, events: list[Event]
) -> None:
    script = SAVE + (
        "for epoch, loss in enumerate((0.9, 0.4, 0.5), 1):\n"
        "    line = dict(epoch=epoch, epochs=3, step=10 * epoch, total=30, train_loss=loss, validation_loss=loss,\n"
        "                validation_metric=1 - loss, learning_rate=0.1)\n"
        "    with open(os.environ['RUNWRIGHT_METRICS'], 'a') as file:\n"
        "        file.write(json.dumps(line) + '\\n')\n"
    )
    manifest = run(flowers, script)
    told = [event for event in events if event.kind == "progress"]
    assert [(event.done, event.total, event.unit) for event in told] == [(n, 30, "steps") for n in (10, 20, 30)]
    assert (told[-1].values["loss"], told[-1].values["epoch"]) == (0.5, 3)
    history = History.read(tmp_path / "model", HISTORY)
    assert [entry.validation_loss for entry in history.epochs] == [0.9, 0.4, 0.5]
    assert (history.best_epoch, manifest.best_epoch, manifest.steps) == (2, 2, 30)


def test_what_the_code_prints_is_told(run: Run, flowers: Path, events: list[Event]) -> None:
    run(flowers, SAVE + "print('validation accuracy 0.97')\n")
    assert "validation accuracy 0.97" in [event.message for event in events if event.kind == "note"]


def test_own_outputs_are_compared(run: Run, flowers: Path, tmp_path: Path) -> None:
    script = SAVE + (
        "w, b = fit()\n"
        "np.save(Path(os.environ['RUNWRIGHT_MODEL']) / 'outputs.npy', inputs('validation') @ w + b + 0.25)\n"
    )
    run(flowers, script)
    assert (tmp_path / "model" / OUTPUTS).is_file()
    found = difference(tmp_path / "model", flowers)
    assert found is not None
    assert found == pytest.approx(0.25, abs=1e-4)


def test_weights_with_a_factory(run: Run, flowers: Path, tmp_path: Path) -> None:
    script = '''
import json, os
from pathlib import Path
import torch
from safetensors.torch import save_file

model = Path(os.environ["RUNWRIGHT_MODEL"])
save_file({"layer.weight": torch.ones(3, 3), "layer.bias": torch.zeros(3)}, model / "model.safetensors")
(model / "model.py").write_text("""
import torch
from torch import nn

class Linear(nn.Module):
    def __init__(self, schema):
        super().__init__()
        self.layer = nn.Linear(schema["inputs"][0]["shape"][1], len(schema["labels"]))
    def forward(self, numeric, categorical):
        return self.layer(numeric) + 0 * categorical.sum()

def build(schema):
    return Linear(schema)
""")
'''
    manifest = run(flowers, script)
    assert {WEIGHTS, ONNX, OUTPUTS} <= manifest.files.keys()
    found = difference(tmp_path / "model", flowers)
    assert found is not None
    assert found < 1e-5


def test_weights_that_do_not_fit_their_factory(run: Run, flowers: Path) -> None:
    script = """
import os
from pathlib import Path
import torch
from safetensors.torch import save_file

model = Path(os.environ["RUNWRIGHT_MODEL"])
save_file({"weight": torch.ones(2, 2)}, model / "model.safetensors")
(model / "model.py").write_text("import torch\\ndef build(schema):\\n    return torch.nn.Linear(3, 3)\\n")
"""
    with pytest.raises(StageError) as caught:
        run(flowers, script)
    assert caught.value.reason is Reason.USER_CODE
    assert "Error(s) in loading state_dict for Linear" in caught.value.message


CHECKPOINTED = SAVE + (
    "import signal, sys, time\n"
    "checkpoints = Path(os.environ['RUNWRIGHT_CHECKPOINTS'])\n"
    "print('found', sorted(path.name for path in checkpoints.iterdir()), os.environ['RUNWRIGHT_RESUME'], flush=True)\n"
    "def stop(*_):\n"
    "    (checkpoints / 'step-7').write_text('state')\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "if os.environ['RUNWRIGHT_RESUME'] == '0':\n"
    "    (checkpoints / 'step-3').write_text('state')\n"
    "    print('ready', flush=True)\n"
    "    time.sleep(60)\n"
)


def notes(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.kind == "note"]


def test_a_stop_is_handed_on_and_the_next_start_resumes(run: Run, flowers: Path, events: list[Event]) -> None:
    def stop_when_ready() -> None:
        until = time.monotonic() + 60
        while "ready" not in notes(events) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_ready, daemon=True).start()
    with pytest.raises(StageError) as caught:
        run(flowers, CHECKPOINTED)
    assert caught.value.reason is Reason.CANCELLED
    run(flowers, CHECKPOINTED, resume=True)
    assert "found ['step-3', 'step-7'] 1" in notes(events)


def test_without_resume_old_checkpoints_go(run: Run, flowers: Path, tmp_path: Path, events: list[Event]) -> None:
    (tmp_path / "checkpoints" / "old").mkdir(parents=True)
    run(flowers, SAVE + "print(os.listdir(os.environ['RUNWRIGHT_CHECKPOINTS']))\n")
    assert "[]" in notes(events)


SEVERAL = """
import os
import torch
import torch.distributed as dist
from linear import *

dist.init_process_group("gloo")
total = torch.tensor([1.0])
dist.all_reduce(total)
if os.environ["RANK"] == "0":
    print("together", total.item(), os.environ["WORLD_SIZE"])
    save(graph(*fit()))
dist.barrier()
if os.environ["RANK"] == os.environ.get("FAILS"):
    raise ValueError("the second one fails")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_several_processes_by_torchruns_variables(run: Run, flowers: Path, events: list[Event]) -> None:
    manifest = run(flowers, SEVERAL, processes=2)
    assert manifest.world_size == 2
    assert "together 2.0 2" in notes(events)


@pytest.mark.slow
def test_the_rank_that_failed_is_named(run: Run, flowers: Path) -> None:
    with pytest.raises(StageError) as caught:
        run(flowers, SEVERAL, processes=2, env={"FAILS": "1"})
    assert caught.value.reason is Reason.USER_CODE
    assert caught.value.message.startswith("ValueError: the second one fails (rank 1)")


STAGE = """
import sys
from pathlib import Path
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.progress import silent
from runwright_components.train import train

folder = Path(sys.argv[1])
places = {"prepared": Path(sys.argv[2]), "out": folder / "model", "checkpoints": folder / "checkpoints"}
train(parse(TrainConfig, sys.argv[3]), **places, resume=False, progress=silent())
"""


def test_the_code_dies_with_a_stage_that_is_killed(flowers: Path, home: Path, tmp_path: Path) -> None:
    (home / "train.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    config = TrainConfig(
        task="classification",
        modality="tabular",
        model=ModelConfig(name="code"),
        code=CodeConfig(path="train.py"),
        base=str(home),
    )
    command = [sys.executable, "-c", STAGE, str(tmp_path), str(flowers), config.canonical()]
    stage = subprocess.Popen(command)
    until = time.monotonic() + 60
    while not (home / "pid").is_file() or not (home / "pid").read_text():
        assert stage.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    stage.kill()
    stage.wait()
    gone = Path("/proc") / (home / "pid").read_text()
    while gone.exists():
        assert time.monotonic() < until, "it outlived its stage"
        time.sleep(0.02)
