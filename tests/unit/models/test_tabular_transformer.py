"""The transformer for tables: its tokens, and that attention finds what two columns say together."""

import pytest
import torch

from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import StageError
from runwright_components.models import Shape, build
from runwright_components.models.tabular_transformer import TabularTransformer

SHAPE = Shape(task="regression", modality="tabular", classes=1, numeric=2, categories=(3, 4))
CONFIG = ModelConfig(name="transformer", width=16, heads=2, depth=1, dropout=0.0)


def test_each_column_has_vectors_of_its_own_and_unseen_categories_the_origin() -> None:
    torch.manual_seed(0)
    module = build(CONFIG, SHAPE)
    assert isinstance(module, TabularTransformer)
    codes = torch.tensor([[0, 0], [1, 0], [0, 1]])
    tokens = module.tokens(torch.zeros(3, 2), codes)
    assert tokens.shape == (3, 1 + 2 + 2, 16)
    first, second = tokens[:, 3], tokens[:, 4]
    assert torch.equal(first[0], module.tokens.column_bias[0])
    assert torch.equal(second[0], module.tokens.column_bias[1])
    assert not torch.allclose(first[1], first[0])
    assert torch.equal(second[1], second[0])
    assert not torch.allclose(first[1] - first[0], second[2] - second[0])


def test_weights_go_and_come_without_the_offsets() -> None:
    torch.manual_seed(0)
    module = build(CONFIG, SHAPE)
    assert "tokens.offsets" not in module.state_dict()
    other = build(CONFIG, SHAPE)
    other.load_state_dict(module.state_dict())
    inputs = {"numeric": torch.randn(5, 2), "categorical": torch.randint(0, 3, (5, 2))}
    assert torch.equal(module(**inputs), other(**inputs))


def test_it_learns_what_two_columns_say_together() -> None:
    torch.manual_seed(0)
    module = build(CONFIG, SHAPE)
    numeric, codes = torch.randn(256, 2), torch.randint(0, 3, (256, 2))
    truth = torch.where(codes[:, 0] == codes[:, 1], numeric[:, 0], -numeric[:, 0])
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    for _ in range(120):
        loss = torch.nn.functional.mse_loss(module(numeric=numeric, categorical=codes), truth)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.3 * truth.var().item()


def test_a_width_that_heads_do_not_divide_names_the_field() -> None:
    with pytest.raises(StageError, match="9 does not divide into 2 heads") as error:
        build(CONFIG.model_copy(update={"width": 9}), SHAPE)
    assert error.value.where == "train.model.width"
    assert error.value.cure == "use a multiple of 2"
