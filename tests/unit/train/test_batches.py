import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from runwright_components.train.data import BatchPlan, TensorSplit

plans = st.builds(
    BatchPlan,
    rows=st.integers(24, 500),
    batch_size=st.integers(1, 40),
    world=st.integers(1, 3),
    accumulate=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)


@given(plans, st.integers(0, 5))
def test_an_epoch_takes_every_row_once_over_all_ranks(plan: BatchPlan, epoch: int) -> None:
    order = plan.order(epoch)
    seen = [
        rows
        for step in range(plan.steps)
        for rank in range(plan.world)
        for rows, _ in plan.micro_batches(order, step, rank)
    ]
    assert torch.equal(torch.cat(seen).sort().values, torch.arange(plan.rows))


@given(plans)
def test_sizes_of_steps_differ_by_one_row_at_most(plan: BatchPlan) -> None:
    sizes = [last - first for first, last in map(plan.bounds, range(plan.steps))]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= plan.batch_size * plan.world * plan.accumulate


@given(plans)
def test_shares_make_the_mean_of_ranks_the_mean_of_rows(plan: BatchPlan) -> None:
    order, value = plan.order(0), torch.arange(plan.rows, dtype=torch.float64)
    for step in range(plan.steps):
        first, last = plan.bounds(step)
        ranks = [
            sum(share * value[rows].mean().item() for rows, share in plan.micro_batches(order, step, rank) if len(rows))
            for rank in range(plan.world)
        ]
        assert np.isclose(np.mean(ranks), value[order[first:last]].mean())


def test_order_depends_on_seed_and_epoch_alone() -> None:
    plan = BatchPlan(100, 8, 1, 1, seed=3)
    assert torch.equal(plan.order(1), BatchPlan(100, 32, 2, 4, seed=3).order(1))
    assert not torch.equal(plan.order(1), plan.order(2))
    assert not torch.equal(plan.order(1), BatchPlan(100, 8, 1, 1, seed=4).order(1))


def test_texts_are_cut_to_the_longest_of_the_batch() -> None:
    ids = torch.tensor([[5, 6, 0, 0], [5, 6, 7, 8], [5, 0, 0, 0]])
    split = TensorSplit({"input_ids": ids, "attention_mask": (ids > 0).long()}, torch.arange(3), torch.device("cpu"))
    inputs, target = split.take(torch.tensor([2, 0]))
    assert inputs["input_ids"].tolist() == [[5, 0], [5, 6]]
    assert inputs["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert target.tolist() == [2, 0]


def test_pixels_are_shares_of_one() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    split = TensorSplit({"pixels": pixels}, torch.arange(3), torch.device("cpu"))
    assert split.take(torch.arange(3))[0]["pixels"].flatten().tolist() == [0.0, np.float32(0.2), 1.0]
