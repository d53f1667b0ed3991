"""The geometry and the words of the pages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright_components.report import charts, wording

finite = st.floats(-1e12, 1e12, allow_nan=False)


@given(low=finite, span=st.floats(1e-6, 1e12))
def test_ticks_are_round_few_and_inside(low: float, span: float) -> None:
    high = low + span
    found = charts.nice_ticks(low, high)
    air = 1e-6 * max(abs(low), abs(high), span)
    assert len(found) <= 12
    assert all(low - air <= tick <= high + air for tick in found)


def test_shares_are_bars_to_the_right_with_their_names() -> None:
    chart = charts.shares(
        "Importance", "what gained", [("a column of a very long name", 0.75), ("b", 0.25), ("c", 0.0)], x_label="share"
    )
    assert [tick.text for tick in chart.y_ticks] == ["a column of a very\u2026", "b", "c"]
    assert chart.bars[0].width == pytest.approx(3 * chart.bars[1].width, rel=0.01)
    assert chart.bars[0].y < chart.bars[1].y < chart.bars[2].y
    assert chart.bars[0].note == "a column of a very long name: 75 %"
    assert all(bar.x + bar.width <= chart.frame.right for bar in chart.bars)


def test_ticks_by_hand() -> None:
    assert charts.nice_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert charts.nice_ticks(2700, 6300) == [3000, 4000, 5000, 6000]
    assert charts.nice_ticks(3, 3) == [3]
    assert charts.nice_ticks(-0.3, 0.3) == [-0.2, 0, 0.2]


@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
def test_a_range_holds_its_finite_values(values: list[float]) -> None:
    low, high = charts.padded(values)
    assert low < high or not any(math.isfinite(value) for value in values) or math.isinf(high - low) or low <= high
    assert all(low <= value <= high for value in values if math.isfinite(value))


def test_a_curve_leaves_out_what_is_not_finite() -> None:
    chart = charts.curves(
        "Loss", "", [("training", "one", [(1, 0.5), (2, float("nan")), (3, float("inf")), (4, 0.25)])], x_label="epoch"
    )
    assert chart.lines[0].points.count(",") == 2
    assert len(chart.dots) == 2


def test_a_histogram_fills_its_frame() -> None:
    chart = charts.histogram("Errors", "", [-1, 0, 1], [3, 6], x_label="x", y_label="y")
    first, second = chart.bars
    assert second.height == pytest.approx(2 * first.height, abs=0.1)
    assert first.y + first.height == pytest.approx(chart.frame.bottom)
    assert chart.rules[0].x1 == pytest.approx((chart.frame.left + chart.frame.right) / 2)


def test_a_rare_value_is_visible() -> None:
    chart = charts.spark("", [0, 1, 2, 3], [1_000_000, 0, 1], domain=(0, 3), ends=("0", "3"), tone="one")
    assert [bar.height >= 1 for bar in chart.bars] == [True, True]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (0.12345, "0.1235"),
        (12.3456, "12.35"),
        (-1234.5, "−1,234"),
        (1e18, "1.00e+18"),
        (0.00001, "1.00e−05"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.123, "12.3 %"), (0.0001, "< 0.1 %"), (0.99999, "> 99.9 %"), (0.5, "50 %")],
)
def test_shares(share: float, text: str) -> None:
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123 s"), (6.44, "6.4 s"), (90, "1.5 min"), (7200, "2.0 h"), (1e6, "11.6 d")]
)
def test_durations(value: float, text: str) -> None:
    assert wording.seconds(value) == text
