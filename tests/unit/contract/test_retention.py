"""Which checkpoints stay."""

from hypothesis import given
from hypothesis import strategies as st

from runwright_components.contract.retention import kept


def test_the_newest_stay() -> None:
    assert kept([5, 20, 10, 15], newest=2) == {15, 20}
    assert kept([], newest=2) == set()
    assert kept([5], newest=0) == {5}


def test_the_first_of_each_span_stays_for_good() -> None:
    assert kept([1, 99, 101, 150, 199, 205, 206], newest=1, every=100) == {101, 205, 206}


@given(st.lists(st.integers(1, 500), unique=True), st.integers(1, 4), st.integers(1, 60))
def test_what_once_stays_for_good_never_goes(steps: list[int], newest: int, every: int) -> None:
    """Asked after each new checkpoint, as a training does, the answer keeps what it would keep of all at once."""
    there: set[int] = set()
    for step in sorted(steps):
        there = kept(there | {step}, newest=newest, every=every)
    assert there == kept(steps, newest=newest, every=every)
