"""Replicas and shards: the same curve as one process, on real processes; and how the work is shared."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.config import DistributedConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import Shape, build
from runwright_components.train import parallel
from runwright_components.train.estimate import estimate, state_bytes
from runwright_components.train.ranks import Ranks
from tests.unit.train.several import run

CPU = torch.device("cpu")
PICTURES = Shape("classification", "image", 2, image=(3, 8, 8), mean=(0.5,) * 3, std=(0.2,) * 3)
TEXT = Shape(task="classification", modality="text", classes=2, vocabulary=50, max_tokens=12)


@pytest.fixture(autouse=True)
def one_thread_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def curve(config: TrainConfig, prepared: Path, name: str) -> list[tuple[float, float]]:
    """Losses of training and validation by epoch."""
    return [(train_loss, validation_loss) for train_loss, validation_loss, _ in run(config, prepared, name)]


def several(config: TrainConfig, processes: int, **distributed: object) -> TrainConfig:
    """The same steps on more processes."""
    update = {
        "processes": processes,
        "batch_size": config.batch_size // processes,
        "distributed": DistributedConfig.model_validate(distributed),
    }
    return config.model_copy(update=update)


@pytest.mark.slow
def test_shards_of_a_table_model_follow_one_process(config: TrainConfig, tables: Path) -> None:
    """Replicas do, too: `test_agent`."""
    model = ModelConfig(name="mlp", hidden=(16, 16), normalization="layer", dropout=0.0)
    config = config.model_copy(update={"model": model})
    alone = curve(config, tables, "alone")
    np.testing.assert_allclose(curve(several(config, 2, strategy="fsdp"), tables, "fsdp"), alone, rtol=1e-4)
    sharded = ModelManifest.read(tables.parent / "fsdp")
    assert set(sharded.files) == set(ModelManifest.read(tables.parent / "alone").files)
    assert sharded.world_size == 2


@pytest.mark.slow
def test_shards_with_accumulation_and_recomputed_activations_follow_one_process(
    config: TrainConfig, texts: Path
) -> None:
    model = ModelConfig(name="transformer", width=16, depth=2, heads=2, dropout=0.0)
    config = config.model_copy(update={"modality": "text", "model": model, "epochs": 3})
    alone = curve(config, texts, "alone")
    halved = several(config, 2, strategy="fsdp", sharding="gradients", activation_checkpointing="always")
    halved = halved.model_copy(update={"batch_size": 8, "accumulate": 2})
    np.testing.assert_allclose(curve(halved, texts, "shards"), alone, rtol=1e-4)


# -------------------------------------------------------- how the work is shared


def layout(world: int = 1, model: ModelConfig | None = None, shape: Shape = TEXT, **distributed: object) -> str:
    model = model or ModelConfig(name="transformer", width=16, heads=2)
    config = TrainConfig(
        task="classification",
        modality=shape.modality,
        model=model,
        distributed=DistributedConfig.model_validate(distributed),
    )
    return parallel.choose(config, build(model, shape), Ranks(0, world, CPU), None).describe()


@pytest.mark.parametrize(
    ("world", "asked", "expected"),
    [
        (1, {"strategy": "fsdp"}, "single"),
        (2, {}, "ddp"),
        (2, {"strategy": "fsdp"}, "fsdp"),
        (2, {"activation_checkpointing": "always"}, "ddp, activation checkpointing"),
        (2, {"compile": "auto"}, "ddp"),
    ],
)
def test_the_layout_is_what_was_asked_for(world: int, asked: dict[str, object], expected: str) -> None:
    assert layout(world, **asked) == expected


def test_a_model_whose_state_fills_half_of_the_gpu_is_sharded() -> None:
    asked = DistributedConfig()
    gib = 2**30
    assert parallel.strategy_for(asked, world=8, state=39 * gib, memory=80 * gib) == "ddp"
    assert parallel.strategy_for(asked, world=8, state=41 * gib, memory=80 * gib) == "fsdp"
    assert parallel.strategy_for(asked, world=1, state=41 * gib, memory=80 * gib) == "single"
    assert parallel.strategy_for(asked, world=8, state=41 * gib, memory=None) == "ddp"


@pytest.mark.parametrize(
    ("settings", "where"),
    [({"optimizer": "adafactor"}, "train.optimizer"), ({"precision": "fp16"}, "train.precision")],
)
def test_what_cannot_be_sharded_is_refused_and_never_chosen(
    settings: dict[str, str], where: str, config: TrainConfig
) -> None:
    config = config.model_copy(update=settings)
    module = build(config.model, Shape(task="classification", modality="tabular", classes=3, numeric=3))
    with pytest.raises(StageError, match="shard") as caught:
        parallel.choose(several(config, 2, strategy="fsdp"), module, Ranks(0, 2, CPU), None)
    assert caught.value.where == where
    assert "ddp" in caught.value.cure
    gib = 2**30
    auto = DistributedConfig()
    assert parallel.strategy_for(auto, world=8, state=41 * gib, memory=80 * gib, shardable=False) == "ddp"


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(StageError, match=r"torch.compile needs a compiler \(no-such-compiler\)") as caught:
        layout(compile="always")
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert "never or auto" in caught.value.cure


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (
            ModelConfig(name="mlp"),
            Shape(task="regression", modality="tabular", classes=1, numeric=3),
            "batch norm would count each batch twice",
        ),
        (ModelConfig(name="cnn"), PICTURES, "no repeated blocks"),
    ],
)
def test_recomputing_what_cannot_be_is_refused(model: ModelConfig, shape: Shape, words: str) -> None:
    with pytest.raises(StageError, match=words) as caught:
        layout(model=model, shape=shape, activation_checkpointing="always")
    assert caught.value.where == "train.distributed.activationCheckpointing"
    assert layout(model=model, shape=shape) == "single"


@pytest.mark.parametrize("recomputed", [False, True])
def test_a_compiled_model_computes_the_same(recomputed: bool) -> None:
    torch.manual_seed(0)
    config = ModelConfig(name="transformer", width=16, depth=1, heads=2, dropout=0.0)
    module = build(config, TEXT)
    inputs = {"input_ids": torch.randint(1, 50, (4, 12)), "attention_mask": torch.ones(4, 12, dtype=torch.int64)}
    nn.init.normal_(module.get_submodule("head.linear").weight)  # it is zero at first
    expected = module(**inputs)
    missing = parallel.missing_compiler(CPU)
    chosen = parallel.Layout("single", compiled=not missing, recomputed=recomputed)
    forward = parallel.distribute(module, chosen, Ranks(0, 1, CPU), "fp32")
    torch.testing.assert_close(forward(**inputs), expected, rtol=1e-4, atol=1e-5)
    plain = parallel.whole(module, chosen, lambda: build(config, TEXT))
    torch.testing.assert_close(plain.eval()(**inputs), expected, rtol=1e-4, atol=1e-5)
    assert "forward" not in vars(plain.get_submodule("layers.0"))


# -------------------------------------------------------- what a step costs


def test_a_matrix_product_counts_two_operations_a_multiply_add_forward_and_backward() -> None:
    linear = nn.Linear(8, 4, bias=False)
    costs = estimate(linear, {"input": torch.zeros(10, 8)})
    assert costs is not None
    assert costs.flops == 2 * (2 * 10 * 8 * 4)  # the input needs no gradient
    assert costs.activations == 10 * 8 * 4
    assert linear.weight.grad is None


def test_counting_changes_no_random_state() -> None:
    module = build(ModelConfig(name="transformer", width=16, heads=2, dropout=0.5), TEXT)
    before = torch.get_rng_state()
    assert estimate(module, {"input_ids": torch.ones(4, 12).long(), "attention_mask": torch.ones(4, 12).long()})
    assert torch.equal(torch.get_rng_state(), before)


def test_a_module_that_looks_at_values_is_not_counted() -> None:
    class Looking(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) if bool(input.sum() > 0) else input

    assert estimate(Looking(3, 3), {"input": torch.ones(2, 3)}) is None


def test_state_takes_sixteen_bytes_a_weight_that_learns() -> None:
    module = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False))
    assert state_bytes(module, "adamw") == 200 * 16
    module[0].requires_grad_(False)
    assert state_bytes(module, "sgd") == 100 * 4 + 100 * 12
