"""Matrices that processes share: what is refused, and the curve of one process on real ones, with shards beside."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runwright_components.contract.artifacts import HISTORY, History, ModelManifest
from runwright_components.contract.config import DistributedConfig, LoraConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.models.decoder import Decoder, settings_for
from runwright_components.models.lora import adapt
from runwright_components.train import parallel, tensor_parallel, train
from runwright_components.train.ranks import Ranks
from tests.unit.language.conftest import train_config

CPU = torch.device("cpu")


def decoder(**sizes: Any) -> Decoder:
    model = {"name": "decoder", "width": 32, "depth": 2, "heads": 4, "key_value_heads": 2, **sizes}
    return Decoder(settings_for(ModelConfig.model_validate(model), vocabulary=50))


def config(**distributed: Any) -> TrainConfig:
    return train_config(distributed=DistributedConfig.model_validate({"tensor_parallel": 2, **distributed}))


def test_it_goes_with_shards_of_the_groups() -> None:
    layout = parallel.choose(config(), decoder(), Ranks(0, 4, CPU, tensor=2), None)
    assert layout.describe() == "fsdp, tensor parallel 2"
    ranks = [Ranks(rank, 4, CPU, tensor=2) for rank in range(4)]
    assert [(each.replica, each.replicas) for each in ranks] == [(0, 2), (0, 2), (1, 2), (1, 2)]


@pytest.mark.parametrize(
    ("module", "asked", "world", "message", "cure"),
    [
        (lambda: nn.Linear(2, 2), config(), 2, "no plan to share the matrices of the family", "strategy: fsdp"),
        (lambda: adapt(decoder(), LoraConfig()), config(), 2, "adapters are not shared", "remove train.model.lora"),
        (decoder, config(), 3, "3 processes do not divide into groups of 2", "a divisor of the number of processes"),
        (decoder, config(strategy="ddp"), 2, "together with `strategy: fsdp` alone", "fsdp or auto"),
        (decoder, config(compile="always"), 2, "shared matrices are not compiled", "compile to never"),
        (lambda: decoder(heads=1, key_value_heads=1), config(), 2, "1 heads do not divide", "a divisor of 1"),
        (lambda: decoder(key_value_heads=1), config(), 2, "1 heads of keys and values do not", "a divisor of 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_refused(
    module: Callable[[], nn.Module], asked: TrainConfig, world: int, message: str, cure: str
) -> None:
    with pytest.raises(StageError, match=message) as caught:
        parallel.choose(asked, module(), Ranks(0, world, CPU, tensor=2), None)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.where == "train.distributed.tensorParallel"
    assert cure in caught.value.cure


def test_gradients_of_one_mesh_are_clipped_as_torch_does() -> None:
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    for weight in weights:
        weight.grad = torch.full_like(weight, 2.0)
    tensor_parallel.clip(tensor_parallel.by_mesh(weights), 1.0)
    assert torch.cat([weight.grad for weight in weights if weight.grad is not None]).norm().item() == pytest.approx(1.0)


def curve(corpus: Path, folder: Path, settings: TrainConfig, *, resume: bool = False) -> list[float]:
    """Losses of training and validation by epoch; checkpoints lie beside the model."""
    kept = folder.with_suffix(".checkpoints")
    train(settings, prepared=corpus, out=folder, checkpoints=kept, resume=resume, progress=silent())
    epochs = History.read(folder, HISTORY).epochs
    return [loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)]


def of(processes: int, **distributed: Any) -> TrainConfig:
    """The norm of the gradients is clipped at most steps."""
    return train_config(
        processes=processes,
        max_steps=12,
        gradient_clip=0.5,
        checkpoint_every_steps=4,
        distributed=DistributedConfig.model_validate(distributed),
    )


@pytest.mark.slow
def test_groups_follow_one_process_and_their_checkpoint_goes_on_as_shards(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = curve(corpus, tmp_path / "alone", of(1))
    shared = of(4, tensor_parallel=2).model_copy(update={"batch_size": 4})
    np.testing.assert_allclose(curve(corpus, tmp_path / "shared", shared), alone, rtol=1e-4)
    costs = [ModelManifest.read(tmp_path / name).cost for name in ("shared", "alone")]
    assert len({cost.samples for cost in costs if cost is not None}) == 1

    kept = tmp_path / "shared.checkpoints"
    shutil.rmtree(max(kept.glob("step-*")))
    kept.rename(tmp_path / "shards.checkpoints")
    shards = of(2, strategy="fsdp").model_copy(update={"batch_size": 4})
    np.testing.assert_allclose(curve(corpus, tmp_path / "shards", shards, resume=True), alone, rtol=1e-4)
    assert History.read(tmp_path / "shards", HISTORY).resumed_from_step == 8
