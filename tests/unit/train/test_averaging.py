import torch
from torch import nn

from runwright_components.train.averaging import Average


def test_the_average_follows_the_weights_with_a_warm_up() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = Average(module, 0.9)
    expected = 0.0
    for step in range(200):
        nn.init.constant_(module.weight, step + 1)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step + 1)
    assert torch.isclose(average.weights["weight"], torch.tensor([[expected]])).all()


def test_averaged_weights_are_in_the_module_for_a_block_alone() -> None:
    module = nn.BatchNorm1d(2)
    average = Average(module, 0.5)
    module.weight.data.copy_(torch.tensor([0.1, 0.3]))
    module(torch.randn(8, 2))
    own = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with average.applied():
        assert module.weight.tolist() == [1.0, 1.0]
        assert module.running_mean.tolist() == [0.0, 0.0]
        assert module.num_batches_tracked == 1
    assert all(torch.equal(tensor, own[name]) for name, tensor in module.state_dict().items())
