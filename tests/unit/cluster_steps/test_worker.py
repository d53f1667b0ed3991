"""The training pods' program, run as the pods run it, on storage in a folder."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runwright_components.cluster.mirror import CheckpointMirror, fetch_checkpoints
from runwright_components.cluster.search.reports import CURVE, read_curve, read_result
from runwright_components.cluster.search.trials import trial_run
from runwright_components.cluster.storage import (
    CHECKPOINTS,
    MODEL,
    PREPARED,
    PROGRESS,
    fetch_folder,
    index_of,
    place,
    store_folder,
)
from runwright_components.cluster.worker import Node, work
from runwright_components.contract.artifacts import COST, HISTORY, History, ModelManifest
from runwright_components.contract.cluster import CLUSTER_ENV, ClusterRun, StageFault
from runwright_components.contract.config import DistributedConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import ExitCode, StageError
from runwright_components.contract.progress import Event
from runwright_components.train.tuning.judging import judge
from tests.unit.train.conftest import table, table_signature, write_prepared

CONFIG = TrainConfig(
    task="classification",
    modality="tabular",
    model=ModelConfig(name="mlp", hidden=(8,)),
    epochs=2,
    batch_size=16,
    early_stopping=None,
    device="cpu",
)


@pytest.fixture
def stored(run: ClusterRun, tmp_path: Path) -> ClusterRun:
    """The run, with prepared data in its storage."""
    splits = {"train": table(96, 0, regression=False), "validation": table(32, 1, regression=False)}
    signature = table_signature(regression=False)
    prepared = write_prepared(
        tmp_path / "prepared", {**splits, "test": splits["validation"]}, signature, categories=(5,)
    )
    store_folder(prepared, place(run.storage).under(PREPARED))
    return run


def _start(run: ClusterRun, config: TrainConfig, log: Path, **environment: str) -> subprocess.Popen[str]:
    given = {
        CLUSTER_ENV: run.canonical(),
        "RUNWRIGHT_TRAIN": config.canonical(),
        "RUNWRIGHT_PREPARED": place(run.storage).under(PREPARED).uri,
        "RUNWRIGHT_TERMINATION_LOG": str(log),
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    command = [sys.executable, "-m", "runwright_components.cluster.worker"]
    return subprocess.Popen(command, env={**os.environ, **given}, stderr=subprocess.PIPE, text=True)


def test_a_pod_trains_from_storage_to_storage(stored: ClusterRun, tmp_path: Path) -> None:
    process = _start(stored, CONFIG, tmp_path / "log")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    storage = place(stored.storage)
    fetch_folder(storage.under(MODEL), tmp_path / "model")
    assert ModelManifest.read(tmp_path / "model").steps == 12
    progress = Event.model_validate_json(storage.read(PROGRESS) or b"")
    assert (progress.done, progress.total, progress.unit) == (12, 12, "steps")
    assert storage.under(CHECKPOINTS).folders(), "kept until the TrainingRun goes"
    assert not (tmp_path / "log").exists()


def test_a_trials_pod_tells_its_curve_and_its_result(stored: ClusterRun, tmp_path: Path) -> None:
    run = trial_run(stored, 7, "loss")
    storage = place(run.storage)
    storage.write(CURVE, b'{"points":[{"epoch":1,"figures":{"validation_loss":9.5}}]}')
    work(run, CONFIG, prepared_uri=place(stored.storage).under(PREPARED).uri, folder=tmp_path / "pod")
    curve, result = read_curve(storage), read_result(storage)
    assert [point.epoch for point in curve.points] == [1, 2]
    assert curve.points[0].figures["validation_loss"] < 9.5, "told again, as training has gone over it again"
    assert {"validation_loss", "accuracy"} <= set(curve.points[1].figures)
    assert result is not None
    fetch_folder(storage.under(MODEL), tmp_path / "model")
    assert result.value == judge(tmp_path / "model", tmp_path / "prepared", "loss")
    assert (result.epochs, result.seconds > 0) == (2, True)
    assert storage.uri == f"{stored.storage.uri}/tuning/trial-00007"


@pytest.mark.slow
def test_a_pod_that_was_told_to_stop_is_continued_by_the_next(stored: ClusterRun, tmp_path: Path) -> None:
    long = CONFIG.model_copy(update={"epochs": 400, "checkpoint_every_steps": 10})
    process = _start(stored, long, tmp_path / "log")
    storage = place(stored.storage)
    until = time.monotonic() + 60
    while not storage.under(CHECKPOINTS).folders() and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == ExitCode.CANCELLED, said
    assert StageFault.model_validate_json((tmp_path / "log").read_bytes()).reason == "Cancelled"
    short = long.model_copy(update={"checkpoint_every_steps": None})
    resumed = _start(stored, short, tmp_path / "log2")
    _, said = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, said
    fetch_folder(storage.under(MODEL), tmp_path / "model")
    assert History.read(tmp_path / "model", HISTORY).resumed_from_step > 0


def test_why_it_failed_is_its_last_word(stored: ClusterRun, tmp_path: Path) -> None:
    wrong = CONFIG.model_copy(update={"model": ModelConfig(name="pretrained", pretrained="no/such/folder")})
    process = _start(stored, wrong, tmp_path / "log")
    process.communicate(timeout=60)
    fault = StageFault.model_validate_json((tmp_path / "log").read_bytes())
    assert process.returncode == fault.exit_code
    assert fault.reason
    assert fault.message


def test_without_data_it_says_so(run: ClusterRun, tmp_path: Path) -> None:
    process = _start(run, CONFIG, tmp_path / "log")
    process.communicate(timeout=60)
    assert process.returncode == ExitCode.USER
    assert StageFault.model_validate_json((tmp_path / "log").read_bytes()).reason == "SourceNotFound"


def _pods(run: ClusterRun, config: TrainConfig, logs: Path, count: int) -> list[subprocess.Popen[str]]:
    many = run.model_copy(update={"job": run.job.model_copy(update={"nodes": count})})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    return [
        _start(many, config, logs / f"log{rank}", **address, RANK=str(rank), PET_NODE_RANK=str(rank))
        for rank in range(count)
    ]


@pytest.mark.slow
def test_two_pods_train_one_model(stored: ClusterRun, tmp_path: Path) -> None:
    pods = _pods(stored, CONFIG, tmp_path, 2)
    said = [pod.communicate(timeout=200)[1] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0], said
    fetch_folder(place(stored.storage).under(MODEL), tmp_path / "model")
    manifest = ModelManifest.read(tmp_path / "model")
    assert (manifest.world_size, manifest.steps) == (2, 6)


@pytest.mark.slow
def test_one_pod_goes_on_from_what_two_have_each_half_of(stored: ClusterRun, tmp_path: Path) -> None:
    sharded = DistributedConfig(strategy="fsdp")
    config = CONFIG.model_copy(update={"distributed": sharded, "epochs": 60, "checkpoint_every_steps": 10})
    pods = _pods(stored, config, tmp_path, 2)
    there = place(stored.storage).under(CHECKPOINTS)
    until = time.monotonic() + 120
    while not any(index_of(there.under(name)) for name in there.folders()) and time.monotonic() < until:
        time.sleep(0.1)
    for pod in pods:
        pod.kill()
        pod.communicate()
    alone = _start(stored, config, tmp_path / "log")
    _, said = alone.communicate(timeout=200)
    assert alone.returncode == 0, said
    fetch_folder(place(stored.storage).under(MODEL), tmp_path / "model")
    manifest, history = ModelManifest.read(tmp_path / "model"), History.read(tmp_path / "model", HISTORY)
    assert (manifest.world_size, manifest.steps) == (1, 180)  # three a pass, as two pods would have made them
    assert history.resumed_from_step >= 10


def test_a_pod_knows_its_place() -> None:
    environment = {"MASTER_ADDR": "churn-r3-master-0", "MASTER_PORT": "23456", "RANK": "2"}
    assert Node.of(environment, 3) == Node(3, 2, "churn-r3-master-0:23456")
    assert Node.of({}, 1).main
    with pytest.raises(StageError):
        Node.of({}, 2)


def _checkpoint(folder: Path, step: int, shards: dict[str, str], *, main: bool = True) -> None:
    """A checkpoint of which this node has `shards`, name and content, and the main one the state."""
    path = folder / f"step-{step:09d}"
    path.mkdir(parents=True)
    for name, content in shards.items():
        (path / name).write_text(content)
    if main:
        files = {name: file_digest_of(f"{step} {name}") for name in ("a", "b")}
        (path / "state.json").write_text(json.dumps({"layout": {"files": files}}))


def file_digest_of(content: str) -> str:
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def test_a_checkpoint_that_two_nodes_hold_counts_when_both_have_stored_it(run: ClusterRun, tmp_path: Path) -> None:
    there = place(run.storage).under(CHECKPOINTS)
    _checkpoint(tmp_path / "one", 1, {"a": "1 a"})
    with CheckpointMirror(tmp_path / "one", there, keep=1, every=60):
        pass
    assert index_of(there.under("step-000000001")) is None
    with CheckpointMirror(tmp_path / "one", there, keep=1, every=0.01):
        _checkpoint(tmp_path / "two", 1, {"b": "1 b"}, main=False)
        with CheckpointMirror(tmp_path / "two", there, keep=1, main=False, every=60):
            pass
        _checkpoint(tmp_path / "one", 2, {"a": "2 a"})  # the other node is lost before it stores its part
    assert fetch_checkpoints(there, tmp_path / "again")
    assert {path.name for path in (tmp_path / "again" / "step-000000001").iterdir()} == {"a", "b", "state.json"}
    assert there.folders() == ["step-000000001", "step-000000002"]


def test_what_a_training_has_cost_goes_on_with_its_checkpoints(run: ClusterRun, tmp_path: Path) -> None:
    there = place(run.storage).under(CHECKPOINTS)
    for number, main in enumerate((True, False)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / COST).write_text(f'{{"starts": {number + 1}}}')
        with CheckpointMirror(folder, there, keep=1, main=main, every=60):
            pass
    fetch_checkpoints(there, tmp_path / "again")
    assert (tmp_path / "again" / COST).read_text() == '{"starts": 1}'


def test_only_the_newest_checkpoints_are_kept(run: ClusterRun, tmp_path: Path) -> None:
    folder, there = tmp_path / "checkpoints", place(run.storage).under(CHECKPOINTS)
    with CheckpointMirror(folder, there, keep=2, keep_every=100, every=0.01):
        for step in (1, 101, 102, 103, 104):
            _checkpoint(folder, step, {"a": f"{step} a", "b": f"{step} b"})
    assert there.folders() == ["step-000000101", "step-000000103", "step-000000104"]
    (tmp_path / "storage" / CHECKPOINTS / "step-000000104" / "state.json").write_text("torn")
    assert fetch_checkpoints(there, tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["step-000000103"]
    assert not fetch_checkpoints(there.under("nothing"), tmp_path / "none")
