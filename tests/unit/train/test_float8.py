"""Products in 8 bits, emulated: the curve of fp32 within a few percent, and weights that anything else reads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

from runwright_components.contract.config import DistributedConfig, LoraConfig, ModelConfig, TrainConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import Shape, build
from runwright_components.models.decoder import Decoder, settings_for
from runwright_components.models.lora import adapt
from runwright_components.train import float8, parallel, tensor_parallel
from runwright_components.train.checkpoints import CheckpointStore
from runwright_components.train.parallel import Layout, blocks_of
from runwright_components.train.precision import Precision, autocast, resolve
from runwright_components.train.ranks import Ranks
from runwright_components.train.state import TrainingState

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, CPU)
TEXT = Shape(task="classification", modality="text", classes=2, vocabulary=50, max_tokens=12)
TABLE = Shape(task="classification", modality="tabular", classes=3, numeric=3)
PICTURE = Shape("classification", "image", 2, image=(3, 8, 8), mean=(0.5,) * 3, std=(0.2,) * 3)


def decoder(width: int = 32, depth: int = 1) -> Decoder:
    torch.manual_seed(0)
    return Decoder(
        settings_for(ModelConfig(name="decoder", width=width, depth=depth, heads=2, dropout=0.0), vocabulary=40)
    )


def in_eight_bits(module: nn.Module) -> nn.Module:
    float8.convert(blocks_of(module), emulate=True)
    return module


def losses(
    module: nn.Module, steps: int = 40, state: TrainingState | None = None, precision: Precision = "fp32"
) -> list[float]:
    """Of a sequence that repeats itself, 13 tokens a row: three rows are no multiple of 16 tokens."""
    state = state or new_state(module)
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(steps):
        starts = torch.randint(0, 40, (3, 1), generator=generator)
        tokens = (starts + 3 * torch.arange(14)) % 40
        with autocast(precision, CPU):
            logits = module.train()(tokens[:, :-1]).float()
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.optimizer.zero_grad()
        found.append(loss.item())
    return found


def new_state(module: nn.Module) -> TrainingState:
    return TrainingState(module, torch.optim.AdamW(module.parameters(), lr=0.005), None, ALONE)


def test_a_decoder_learns_as_in_fp32() -> None:
    plain, quick = losses(decoder()), losses(in_eight_bits(decoder()))
    assert sum(plain[-10:]) < sum(plain[:10]) / 2
    assert quick != plain
    assert sum(quick[-10:]) == pytest.approx(sum(plain[-10:]), rel=0.05)


@pytest.mark.parametrize(
    ("model", "shape", "first"),
    [
        (ModelConfig(name="transformer", width=32, heads=2), TEXT, "layers.0.query_key_value"),
        (ModelConfig(name="transformer", width=32, heads=2), TABLE, "layers.0.query_key_value"),
        (ModelConfig(name="vit", width=32, heads=2), PICTURE, "layers.0.query_key_value"),
    ],
)
def test_layers_of_the_blocks_alone_are_converted(model: ModelConfig, shape: Shape, first: str) -> None:
    module = build(model, shape)
    float8.check_model(model.name, blocks_of(module))
    before = dict(module.named_parameters())
    kinds = {name: type(part) for name, part in in_eight_bits(module).named_modules()}
    changed = {name for name, kind in kinds.items() if kind.__name__ == "Float8Linear"}
    assert first in changed
    assert all(name.startswith("layers.") for name in changed)
    after = dict(module.named_parameters())
    assert {*after} == {*before}
    assert all(after[name] is weight for name, weight in before.items())


def test_a_layer_of_another_size_stays_as_it_is() -> None:
    module = build(ModelConfig(name="transformer", width=64, heads=4), TABLE)  # 85 features inside the gated part
    in_eight_bits(module)
    assert type(module.get_submodule("layers.0.feed_out")) is nn.Linear
    assert type(module.get_submodule("layers.0.attention_out")) is not nn.Linear


def test_validation_computes_as_the_plain_model() -> None:
    tokens = torch.arange(12).unsqueeze(0)
    plain, quick = decoder().eval(), in_eight_bits(decoder()).eval()
    assert torch.equal(plain(tokens), quick(tokens))
    assert not torch.equal(plain(tokens), quick.train()(tokens))


def test_weights_of_a_model_are_the_plain_ones() -> None:
    quick = in_eight_bits(decoder())
    losses(quick, 2)
    exported = parallel.whole(quick, Layout("single", float8=True), decoder)
    assert {type(part) for part in exported.modules() if isinstance(part, nn.Linear)} == {nn.Linear}
    assert all(torch.equal(one, quick.state_dict()[name]) for name, one in exported.state_dict().items())


def test_a_checkpoint_goes_on_bit_by_bit_and_loads_without_eight_bits(tmp_path: Path) -> None:
    straight = losses(in_eight_bits(decoder()), 6)
    state = new_state(in_eight_bits(decoder()))
    assert losses(state.module, 3, state) == straight[:3]
    store = CheckpointStore(tmp_path, keep=1, warn=lambda _: None)
    store.open(resume=False)
    snapshot = state.capture("recipe")
    assert snapshot is not None
    store.save(snapshot)
    store.wait()
    found = store.newest("recipe")
    assert found is not None
    quick, plain = (new_state(module) for module in (in_eight_bits(decoder()), decoder()))
    for other in (quick, plain):
        other.restore(found)
    assert losses(quick.module, 3, quick) == losses(state.module, 3, state)
    assert all(torch.isfinite(torch.tensor(losses(plain.module, 3, plain))))
    store.close()


# -------------------------------------------------------- with others


@pytest.fixture
def group() -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_it_goes_with_replicas_and_shards_that_compute_activations_again(strategy: Literal["ddp", "fsdp"]) -> None:
    layout = Layout(strategy, recomputed=True, float8=True)
    module = in_eight_bits(decoder())
    forward = parallel.distribute(module, layout, ALONE, "fp8")
    found = losses(forward, precision="fp8")  # the rest in bf16
    assert sum(found[-10:]) == pytest.approx(sum(losses(decoder())[-10:]), rel=0.1)
    exported = parallel.whole(module, layout, decoder)
    assert {weight.dtype for weight in exported.state_dict().values()} == {torch.float32}


def test_blocks_compile_as_a_whole() -> None:
    module = in_eight_bits(decoder())
    expected = losses(in_eight_bits(decoder()), 2)
    for block in blocks_of(module):
        block.compile(backend="eager", fullgraph=True)
    assert losses(module, 2) == pytest.approx(expected, rel=1e-3)


def test_adapters_learn_beside_matrices_that_multiply_in_eight_bits() -> None:
    module = in_eight_bits(adapt(decoder(), LoraConfig(rank=4)))
    base = module.get_parameter("model.layers.0.mlp.up_proj.base.weight").clone()
    found = losses(module)
    assert found[-1] < found[0]
    assert torch.equal(module.get_parameter("model.layers.0.mlp.up_proj.base.weight"), base)


# -------------------------------------------------------- what is refused


def test_a_machine_without_a_gpu_is_told() -> None:
    with pytest.raises(StageError, match="fp8 needs a GPU") as caught:
        resolve("fp8", CPU)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.where == "train.precision"
    assert "bf16" in caught.value.cure


def test_an_older_gpu_is_told_which_ones_have_it() -> None:
    float8.check_gpu("NVIDIA L4", (8, 9))
    float8.check_gpu("NVIDIA H100 80GB HBM3", (9, 0))
    with pytest.raises(StageError, match=r"capability 8\.9, and NVIDIA A100-SXM4-80GB has 8\.0; Ada") as caught:
        float8.check_gpu("NVIDIA A100-SXM4-80GB", (8, 0))
    assert caught.value.where == "train.precision"
    assert caught.value.cure == "set it to bf16"


@pytest.mark.parametrize(
    ("family", "module", "message", "cure"),
    [
        ("cnn", lambda: nn.Linear(16, 16), "fp8 is for models of transformer blocks .*, and this is cnn", "bf16"),
        ("decoder", lambda: decoder(width=20), "sizes 16 divides, and no block of the model has one", "width that 16"),
    ],
)
def test_a_model_without_layers_that_fit_is_told(
    family: str, module: Callable[[], nn.Module], message: str, cure: str
) -> None:
    with pytest.raises(StageError, match=message) as caught:
        float8.check_model(family, blocks_of(module()))
    assert caught.value.where == "train.precision"
    assert cure in caught.value.cure


def test_the_layout_says_so_and_shared_matrices_are_refused(config: TrainConfig) -> None:
    asked = config.model_copy(update={"precision": "fp8", "model": ModelConfig(name="decoder")})
    assert parallel.choose(asked, decoder(), ALONE, None).describe() == "single, fp8"
    shared = asked.model_copy(update={"distributed": DistributedConfig(tensor_parallel=2)})
    with pytest.raises(StageError, match="shared matrices are not multiplied in 8 bits"):
        tensor_parallel.check(shared, decoder(), Ranks(0, 2, CPU, tensor=2))
