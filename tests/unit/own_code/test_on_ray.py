"""User code written for Ray Train: what it gets, and what it raises on a real Ray on this machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.config import CodeConfig
from runwright_components.contract.outcome import StageError
from runwright_components.train.code.environment import environment_of
from runwright_components.train.code.on_ray import ray_variables

Run = Callable[..., ModelManifest]
SURROUNDING = {"PATH": "/bin", "RAY_ADDRESS": "10.0.0.1:6379", "RAY_AUTH_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s"}

RAISING = """
import os

import ray
import ray.train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer


def learn():
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    raise KeyError(f"age, on worker {rank} of {world}")


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2, object_store_memory=80 * 2**20)
    TorchTrainer(
        learn,
        scaling_config=ScalingConfig(num_workers=int(os.environ["RUNWRIGHT_RAY_WORKERS"])),
        run_config=RunConfig(name="raising", storage_path=os.environ["RUNWRIGHT_RAY_STORAGE"]),
    ).fit()
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
def test_what_a_worker_raises_reaches_the_object(run: Run, flowers: Path) -> None:
    """Workers of a real Ray; that they learn, too, `tests/local` sees by the example."""
    with pytest.raises(StageError, match=r"age, on worker [01] of 2") as caught:
        run(flowers, RAISING, ray_workers=2)
    assert str(caught.value.reason) == "UserCodeError"
