"""User code written for Ray Train: what it gets, and a training with a real Ray on this machine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import RAW_TEST, ModelManifest
from runwright_components.contract.config import CodeConfig
from runwright_components.contract.outcome import StageError
from runwright_components.serve.predictor import Predictor
from runwright_components.train.code.environment import environment_of
from runwright_components.train.code.on_ray import ray_variables

Run = Callable[..., ModelManifest]
SURROUNDING = {"PATH": "/bin", "RAY_ADDRESS": "10.0.0.1:6379", "RAY_AUTH_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s"}

LEAST_SQUARES = """
import os
from pathlib import Path

import numpy as np
import ray
import ray.train
import torch
import torch.distributed as dist
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from linear import graph, inputs, save, target


def learn(told):
    x, y = ray.get(told["data"])
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    x, y = torch.tensor(x[rank::world]), torch.tensor(y[rank::world])
    x = torch.hstack([x, torch.ones(len(x), 1)]).double()
    sums = torch.cat([x.T @ x, x.T @ y.double()], dim=1)
    dist.all_reduce(sums)
    weights = torch.linalg.solve(sums[:, : x.shape[1]], sums[:, x.shape[1] :])
    folder = Path(told["folder"]) / f"rank-{rank}"
    folder.mkdir()
    np.save(folder / "weights.npy", weights.numpy())
    ray.train.report({"world": world}, checkpoint=Checkpoint.from_directory(folder) if rank == 0 else None)


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2, object_store_memory=80 * 2**20)
    folder = os.environ["RUNWRIGHT_CHECKPOINTS"]
    result = TorchTrainer(
        learn,
        train_loop_config={"data": ray.put((inputs("train").astype("float32"), target("train"))), "folder": folder},
        scaling_config=ScalingConfig(num_workers=int(os.environ["RUNWRIGHT_RAY_WORKERS"])),
        run_config=RunConfig(name="linear", storage_path=os.environ["RUNWRIGHT_RAY_STORAGE"]),
    ).fit()
    assert result.metrics["world"] == 2
    with result.checkpoint.as_directory() as found:
        weights = np.load(Path(found) / "weights.npy").astype("float32")
    save(graph(weights[:-1], weights[-1]))
"""


def test_code_for_ray_sees_what_leads_to_its_cluster_and_nothing_secret_besides() -> None:
    code = CodeConfig(path="train.py", ray_workers=3)
    seen = environment_of(SURROUNDING, code, ray_variables(code, "/checkpoints"))
    assert (seen["RAY_ADDRESS"], seen["RAY_AUTH_TOKEN"]) == ("10.0.0.1:6379", "t")
    assert (seen["RUNWRIGHT_RAY_WORKERS"], seen["RUNWRIGHT_RAY_STORAGE"]) == ("3", "/checkpoints")
    assert seen["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert environment_of({**SURROUNDING, "RAY_USAGE_STATS_ENABLED": "1"}, code, {})["RAY_USAGE_STATS_ENABLED"] == "1"


def test_several_nodes_keep_checkpoints_in_storage() -> None:
    code = CodeConfig(path="train.py", ray_workers=3, ray_storage="s3://bucket/ray")
    assert ray_variables(code, "/checkpoints")["RUNWRIGHT_RAY_STORAGE"] == "s3://bucket/ray"


def test_other_code_sees_nothing_of_ray() -> None:
    code = CodeConfig(path="train.py")
    assert ray_variables(code, "/checkpoints") == {}
    assert [name for name in environment_of(SURROUNDING, code, {}) if "RAY" in name] == []


@pytest.mark.slow
def test_a_real_ray_trains_with_as_many_workers_as_asked_for(run: Run, flowers: Path, tmp_path: Path) -> None:
    manifest = run(flowers, LEAST_SQUARES, ray_workers=2)
    assert manifest.world_size == 2
    rows = pl.read_parquet(flowers / RAW_TEST)
    said = Predictor(tmp_path / "model").predict(rows)
    assert said.labels is not None
    assert np.mean(np.array(said.labels) == rows["kind"].to_numpy()) > 0.8


@pytest.mark.slow
def test_what_a_worker_raises_reaches_the_object(run: Run, flowers: Path) -> None:
    broken = LEAST_SQUARES.replace("    dist.all_reduce(sums)\n", "    raise KeyError('age')\n")
    with pytest.raises(StageError) as caught:
        run(flowers, broken, ray_workers=2)
    assert str(caught.value.reason) == "UserCodeError"
    assert "age" in str(caught.value)
