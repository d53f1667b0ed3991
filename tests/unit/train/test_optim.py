import pytest
import torch
from torch import nn

from runwright_components.contract.config import ModelConfig, TrainConfig
from runwright_components.models import Shape, build
from runwright_components.train.optim import make_optimizer, parameter_groups, rate_factor

SHAPE = Shape(task="classification", modality="tabular", classes=3, numeric=2, categories=(4,))


def test_weight_decay_acts_on_matrices_alone() -> None:
    module = build(ModelConfig(name="mlp", hidden=(8,)), SHAPE)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    decayed, plain = ([names[id(one)] for one in group["params"]] for group in parameter_groups(module, 0.1))
    assert decayed == ["blocks.0.linear.weight", "head.linear.weight"]
    assert {"categorical.tables.0.weight", "numeric.frequency", "blocks.0.norm.weight", "head.linear.bias"} <= {*plain}


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    count = sum(len(group["params"]) for group in parameter_groups(module, 0.1))
    assert count == 2


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adafactor"])
def test_every_optimizer_lowers_a_loss(name: str) -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    config = TrainConfig.model_validate(
        {"task": "regression", "modality": "tabular", "model": {"name": "mlp"}, "optimizer": name, "learning_rate": 0.1}
    )
    optimizer = make_optimizer(config, module)
    inputs, losses = torch.randn(64, 3), []
    for _ in range(30):
        loss = (module(inputs).squeeze(1) - inputs.sum(dim=1)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_warm_up_is_linear_and_then_the_schedule_begins_at_its_top() -> None:
    assert [rate_factor("cosine", step, 100, 4) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [rate_factor("constant", step, 10, 2) for step in (0, 1, 2, 9)] == [0.5, 1.0, 1.0, 1.0]


def test_cosine_and_linear_meet_in_the_middle_and_end_near_zero() -> None:
    assert rate_factor("cosine", 50, 100, 0) == pytest.approx(0.5)
    assert rate_factor("linear", 50, 100, 0) == pytest.approx(0.5)
    assert 0 < rate_factor("cosine", 99, 100, 0) < 0.001
    assert rate_factor("linear", 99, 100, 0) == pytest.approx(0.01)


def test_onecycle_is_torchs() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=1001, cycle_momentum=False)
    theirs = []
    for _ in range(1000):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [rate_factor("onecycle", step, 1000, 0) for step in range(1000)]
    assert ours == pytest.approx(theirs, abs=0.01)


def test_wsd_is_constant_and_falls_in_the_last_fifth() -> None:
    assert [rate_factor("wsd", step, 100, 2) for step in (0, 1, 2, 79, 90, 95)] == [0.5, 1.0, 1.0, 1.0, 0.5, 0.25]


def test_inverse_falls_with_the_root_of_the_step_from_the_end_of_the_warm_up() -> None:
    assert [rate_factor("inverse", step, 1000, 100) for step in (49, 100, 400)] == [0.5, 1.0, 0.5]
    assert rate_factor("inverse", 4, 1000, 0) == 0.5


class Encoder(nn.Module):
    """Embeddings, two layers and a norm, named as transformers names them."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(3, 4)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.norm = nn.LayerNorm(4)


def test_lower_layers_of_an_encoder_learn_more_slowly() -> None:
    module = nn.ModuleDict({"encoder": Encoder(), "head": nn.Linear(4, 2)})
    groups = parameter_groups(module, 0.1, layer_decay=0.5)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    shares = {names[id(one)]: group["rate_share"] for group in groups for one in group["params"]}
    assert len(shares) == 9
    assert shares["head.weight"] == 1.0
    assert shares["encoder.norm.weight"] == shares["encoder.layers.1.bias"] == 0.5
    assert shares["encoder.layers.0.weight"] == 0.25
    assert shares["encoder.embeddings.weight"] == 0.125
