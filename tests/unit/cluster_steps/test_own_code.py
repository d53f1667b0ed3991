"""Own code in a pod: the pod's program, run as the pods run it, on storage in a folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runwright_components.cluster.manifests.faults import pod_fault
from runwright_components.cluster.own_checkpoints import OwnCheckpoints, fetch_own_checkpoint
from runwright_components.cluster.storage import (
    CHECKPOINTS,
    MODEL,
    PREPARED,
    PROGRESS,
    fetch_folder,
    place,
    store_folder,
)
from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.cluster import CLUSTER_ENV, ClusterRun, StageFault, StorageConfig
from runwright_components.contract.config import CodeConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import ExitCode
from runwright_components.contract.progress import Event
from tests.unit.own_code.conftest import LINEAR, write_prepared

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """The file of the termination message."""
    return tmp_path / "termination-log"


@pytest.fixture
def start(run: ClusterRun, tmp_path: Path, words: Path) -> Start:
    """Starts the pod's program with user code that lies in its image."""
    prepared = write_prepared(tmp_path / "data", "classification", "kind")
    store_folder(prepared, place(run.storage).under(PREPARED))

    def begin(script: str) -> subprocess.Popen[str]:
        image = tmp_path / "image"
        image.mkdir(exist_ok=True)
        (image / "linear.py").write_text(LINEAR)
        (image / "train.py").write_text(script)
        config = TrainConfig(
            task="classification",
            modality="tabular",
            model=ModelConfig(name="code"),
            code=CodeConfig(command=("python", str(image / "train.py"))),
        )
        given = {
            CLUSTER_ENV: run.canonical(),
            "RUNWRIGHT_TRAIN": config.canonical(),
            "RUNWRIGHT_PREPARED": place(run.storage).under(PREPARED).uri,
            "RUNWRIGHT_TERMINATION_LOG": str(words),
            "AWS_SECRET_ACCESS_KEY": "storage-secret",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "runwright_components.cluster.worker"]
        return subprocess.Popen(
            command, env={**os.environ, **given}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    return begin


def test_the_model_and_the_checkpoints_go_to_storage(start: Start, run: ClusterRun, tmp_path: Path) -> None:
    script = (
        "from linear import *\nsave(graph(*fit()))\n"
        "assert 'AWS_SECRET_ACCESS_KEY' not in os.environ\n"
        "folder = Path(os.environ['RUNWRIGHT_CHECKPOINTS']) / 'checkpoint-20'\n"
        "folder.mkdir()\n(folder / 'state').write_text('here')\n"
        'Path(os.environ[\'RUNWRIGHT_METRICS\']).write_text(\'{"step": 20, "total": 20, "loss": 0.5}\\n\')\n'
    )
    process = start(script)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    storage = place(run.storage)
    fetch_folder(storage.under(MODEL), tmp_path / "model")
    assert ModelManifest.read(tmp_path / "model").model.name == "code"
    assert fetch_own_checkpoint(storage.under(CHECKPOINTS), tmp_path / "again")
    assert (tmp_path / "again" / "checkpoint-20" / "state").read_text() == "here"
    told = Event.model_validate_json(storage.read(PROGRESS) or b"")
    assert (told.done, told.total, told.values["loss"]) == (20, 20, 0.5)


def test_code_that_raises_leaves_its_traceback_as_last_words(start: Start, words: Path) -> None:
    process = start("def fit():\n    return {}['age']\n\nprint('epoch 1')\nfit()\n")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == ExitCode.USER, out
    assert "epoch 1" in out, "what it printed is in the pod's log"
    fault = StageFault.model_validate_json(words.read_bytes())
    assert fault.reason == "UserCodeError"
    assert fault.message.startswith("the code ended with exit code 1\n")
    assert "KeyError: 'age'" in fault.message
    status = {"containerStatuses": [{"state": {"terminated": {"exitCode": 10, "message": words.read_text()}}}]}
    found = pod_fault({"status": status})
    assert found is not None
    assert (found.reason, found.retryable) == ("UserCodeError", False)


def test_a_pod_that_is_taken_away_has_the_code_stop(start: Start, run: ClusterRun, tmp_path: Path, words: Path) -> None:
    ready = tmp_path / "ready"
    script = (
        "import os, signal, sys, time\nfrom pathlib import Path\n"
        "def stop(*_):\n"
        "    folder = Path(os.environ['RUNWRIGHT_CHECKPOINTS']) / 'step-7'\n"
        "    folder.mkdir()\n    (folder / 'state').write_text('in time')\n    sys.exit(0)\n"
        f"signal.signal(signal.SIGTERM, stop)\nPath({str(ready)!r}).touch()\ntime.sleep(100)\n"
    )
    process = start(script)
    until = time.monotonic() + 100
    while not ready.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == ExitCode.CANCELLED
    assert json.loads(words.read_text())["reason"] == "Cancelled"
    assert fetch_own_checkpoint(place(run.storage).under(CHECKPOINTS), tmp_path / "again")
    assert (tmp_path / "again" / "step-7" / "state").read_text() == "in time"


def test_the_newest_checkpoints_are_kept_and_half_ones_wait(tmp_path: Path) -> None:
    folder, there = tmp_path / "checkpoints", place(StorageConfig(uri=f"file://{tmp_path}/there"))
    for step in (5, 10, 100):
        (folder / f"step-{step}").mkdir(parents=True)
        (folder / f"step-{step}" / "state").write_text("x")
    (folder / "notes").mkdir()
    mirror = OwnCheckpoints(folder, there, keep=2, every=3600)
    mirror._pass()
    assert there.folders() == [], "it may still be written"
    mirror._pass()
    assert there.folders() == ["step-10", "step-100"]
    assert fetch_own_checkpoint(there, tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["step-100"]


def test_an_image_without_runwright_is_told_as_such() -> None:
    said = "/usr/bin/python: Error while finding module specification for 'runwright_components.cluster.worker'"
    said += " (ModuleNotFoundError: No module named 'runwright_components')"
    status = {"containerStatuses": [{"name": "pytorch", "state": {"terminated": {"exitCode": 1, "message": said}}}]}
    fault = pod_fault({"status": status})
    assert fault is not None
    assert (fault.reason, fault.message) == ("ContainerConfigError", "the image does not hold Runwright")
    assert "docs/own-code.md" in fault.cure
