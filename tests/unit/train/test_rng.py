import random

import numpy as np
import torch

from runwright_components.train import rng

CPU = torch.device("cpu")


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]


def test_restored_generators_continue_where_they_were() -> None:
    rng.seed_everything(3)
    draw()  # leaves half of a gaussian pair in Python's and numpy's generator
    states = rng.capture(CPU)
    expected = [draw(), draw()]
    rng.seed_everything(4)
    rng.restore(states, CPU)
    assert [draw(), draw()] == expected
