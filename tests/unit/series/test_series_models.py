"""The models of series and what they minimize."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from runwright_components.contract.config import ModelConfig
from runwright_components.features.series import HISTORY, scaled
from runwright_components.models import Shape, build, export_onnx
from runwright_components.models.forecasting import interpolation, moving_average, quantiles
from runwright_components.train.windows import QuantileObjective, SeriesSplit

LEVELS = (0.1, 0.5, 0.9)


def shape(context: int = 21, horizon: int = 5) -> Shape:
    return Shape(task="forecasting", modality="series", classes=1, context=context, horizon=horizon)


@pytest.mark.parametrize("name", ["nhits", "dlinear"])
@pytest.mark.parametrize(("context", "horizon"), [(21, 5), (2, 1), (64, 40)])
def test_every_step_has_quantiles_in_order(name: str, context: int, horizon: int) -> None:
    torch.manual_seed(0)
    module = build(ModelConfig.model_validate({"name": name, "hidden": (8,), "depth": 3}), shape(context, horizon))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    forecast = module.eval()(history=torch.randn(4, context))
    assert forecast.shape == (4, horizon, 3)
    assert (forecast.diff(dim=-1) > 0).all()


def test_an_untrained_model_says_the_last_value() -> None:
    history = torch.randn(3, 21)
    forecast = build(ModelConfig(name="nhits"), shape()).eval()(history=history)
    assert torch.allclose(forecast[..., 1], history[:, -1:].expand(3, 5))


def test_the_graph_says_what_the_module_says(tmp_path: Path) -> None:
    """That of nhits is compared when its package is made."""
    torch.manual_seed(0)
    module = build(ModelConfig(name="dlinear"), shape()).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    declared = export_onnx(module, shape(), tmp_path / "model.onnx")
    assert [tensor.name for tensor in declared] == [HISTORY, "forecast"]
    history = torch.randn(7, 21)
    (served,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {HISTORY: history.numpy()})
    assert np.abs(served - module(history=history).detach().numpy()).max() < 1e-5


def test_interpolation_draws_straight_lines() -> None:
    drawn = torch.tensor([0.0, 2.0, 0.0]) @ interpolation(3, 5)
    assert drawn.tolist() == [0.0, 1.0, 2.0, 1.0, 0.0]
    assert interpolation(1, 3).tolist() == [[1.0, 1.0, 1.0]]


def test_the_moving_average_repeats_the_ends() -> None:
    values = torch.tensor([3.0, 0.0, 0.0, 6.0])
    assert (values @ moving_average(4, 3)).tolist() == pytest.approx([2.0, 1.0, 2.0, 4.0])


def test_the_ends_of_the_interval_keep_off_the_median() -> None:
    found = quantiles(torch.tensor([[[-50.0, 1.0, 2.0]]]))
    assert found[0, 0].tolist() == pytest.approx(
        [1.0, 1.0, 1.0 + float(torch.nn.functional.softplus(torch.tensor(2.0)))]
    )


def test_the_loss_of_a_batch_is_the_mean_of_its_parts() -> None:
    torch.manual_seed(0)
    objective, output, target = QuantileObjective(LEVELS), torch.randn(6, 4, 3), torch.randn(6, 4)
    target[1, 2] = float("nan")
    parts = (objective.loss(output[:2], target[:2]) * 2 + objective.loss(output[2:], target[2:]) * 4) / 6
    assert objective.loss(output, target) == pytest.approx(float(parts))
    sums = objective.sums(output[:2], target[:2]) + objective.sums(output[2:], target[2:])
    assert objective.summarize(sums) == objective.summarize(objective.sums(output, target))
    assert int(sums[2]) == 23, "a step without a value is not counted"


def test_the_pinball_loss_is_least_at_the_quantiles() -> None:
    truth = torch.linspace(0, 1, 1001)[:, None]
    objective = QuantileObjective(LEVELS)

    def cost(*levels: float) -> float:
        return float(objective.loss(torch.tensor(levels).expand(1001, 1, 3), truth))

    best = cost(0.1, 0.5, 0.9)
    assert best < min(cost(0.2, 0.5, 0.9), cost(0.1, 0.4, 0.9), cost(0.1, 0.5, 0.8), cost(0.0, 0.5, 0.9))


def test_steps_without_a_value_teach_nothing() -> None:
    output = torch.randn(2, 4, 3, requires_grad=True)
    target = torch.zeros(2, 4)
    target[0] = float("nan")
    QuantileObjective(LEVELS).loss(output, target).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert (output.grad[0] == 0).all()
    assert (output.grad[1] != 0).any()


def test_a_window_is_scaled_by_itself() -> None:
    random = np.random.default_rng(0).normal(size=(1, 50))
    one, other = scaled(random), scaled(random * 1e6 + 1e9)
    assert np.allclose(one.history, other.history, atol=1e-4)
    assert np.abs(one.history).max() < 10


@pytest.mark.parametrize("value", [0.0, 7.0, -1e12])
def test_a_constant_window_is_scaled(value: float) -> None:
    found = scaled(np.full((2, 9), value))
    assert np.isfinite(found.history).all()
    assert (found.scale > 0).all()


def test_a_lone_spike_is_bounded() -> None:
    history = np.zeros((1, 1000))
    history[0, 500] = 1e6
    assert np.abs(scaled(history).history).max() <= 10


def test_rows_are_windows(prepared: Path) -> None:
    split = SeriesSplit(prepared, "validation", torch.device("cpu"))
    inputs, target = split.take(torch.tensor([3, 0]))
    assert inputs[HISTORY].shape == (2, 16)
    assert target.shape == (2, 4)
    assert torch.equal(split.take(torch.tensor([0]))[1][0], target[1])


@pytest.mark.parametrize("name", ["nhits", "dlinear"])
def test_every_parameter_learns(name: str) -> None:
    """Several processes wait for each other's gradients: one that never comes would stop them."""
    module = build(ModelConfig.model_validate({"name": name, "hidden": (8,), "depth": 3}), shape())
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    QuantileObjective(LEVELS).loss(module(history=torch.randn(4, 21)), torch.randn(4, 5)).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in module.parameters())
