"""Steps of one length and of the calendar: which step a stamp is, and which stamps come next."""

from datetime import datetime

import numpy as np
import pytest

from runwright_components.features.frequency import Frequency, infer
from runwright_components.features.series import iso


def stamps(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[us]").astype(np.int64)


def one_series(*texts: str) -> Frequency | None:
    starts = np.zeros(len(texts), dtype=np.bool_)
    starts[0] = True
    return infer(stamps(*texts), starts)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("2024-01-01T00:00", "2024-01-01T00:15", "2024-01-01T00:30"), "15m"),
        (("2024-01-01T05:00", "2024-01-01T06:00", "2024-01-01T09:00", "2024-01-01T10:00"), "1h"),
        (("2024-02-28", "2024-02-29", "2024-03-01"), "1d"),
        (("2024-02-26", "2024-03-04", "2024-03-11"), "1w"),
        (("2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01"), "1mo"),
        (("2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29"), "1mo"),
        (("2023-01-01", "2023-04-01", "2023-07-01"), "1q"),
        (("2019-12-31", "2020-12-31", "2021-12-31"), "1y"),
        (("2019-06-30T12:00", "2019-08-31T12:00", "2019-10-31T12:00"), "2mo"),
    ],
)
def test_the_frequency_is_inferred(given: tuple[str, ...], text: str) -> None:
    found = one_series(*given)
    assert found is not None
    assert found.text == text


def test_the_frequency_is_of_neighbours_within_series() -> None:
    starts = np.array([True, False, True, False])
    found = infer(stamps("2024-01-01", "2024-01-02", "2020-05-01", "2020-05-02"), starts)
    assert found is not None
    assert found.text == "1d"


def test_stamps_that_cannot_be_told_have_no_frequency() -> None:
    assert one_series("2024-01-01") is None
    assert one_series("2024-01-01T00:00:00.000001", "2024-01-01T00:00:01.5") is None


@pytest.mark.parametrize(
    ("text", "season"), [("1h", 24), ("15m", 96), ("1d", 7), ("1w", 52), ("1mo", 12), ("1q", 4), ("1y", 1), ("7h", 1)]
)
def test_the_season_is_that_of_the_calendar(text: str, season: int) -> None:
    assert Frequency.parse(text).season == season


@pytest.mark.parametrize("text", ["", "h", "0h", "1x", "1.5h", "-1d"])
def test_what_is_no_step_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no step"):
        Frequency.parse(text)


def test_month_ends_follow_month_ends() -> None:
    found = one_series("2023-11-30", "2023-12-31", "2024-01-31")
    assert found is not None
    assert found.from_end
    assert iso(found.after(stamps("2024-01-31"), 3)[0]) == ["2024-02-29", "2024-03-31", "2024-04-30"]


def test_a_day_that_a_month_lacks_is_its_last() -> None:
    assert iso(Frequency.parse("1mo").after(stamps("2024-01-30T06:00"), 2)[0]) == [
        "2024-02-29T06:00:00",
        "2024-03-30T06:00:00",
    ]


@pytest.mark.parametrize("text", ["30m", "1d", "1mo", "1q", "1y"])
def test_steps_and_stamps_undo_each_other(text: str) -> None:
    step, first = Frequency.parse(text), stamps("2021-03-05T01:00")
    ahead = step.after(first, 30)[0]
    placed = step.place(ahead, np.repeat(first, 30))
    assert placed.regular.all()
    assert placed.steps.tolist() == list(range(1, 31))
    assert (np.diff(ahead) > 0).all()


def test_a_stamp_between_steps_is_not_regular() -> None:
    first = stamps("2024-01-01", "2024-01-01")
    assert not Frequency.parse("1d").place(stamps("2024-01-02T01:00", "2024-01-03"), first).regular[0]
    assert Frequency.parse("1mo").place(stamps("2024-02-02", "2024-03-01"), first).regular.tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "cut", "steps"),
    [("1d", "2024-01-04", 3), ("1d", "2024-01-03T12:00", 3), ("1mo", "2024-03-01", 2), ("1mo", "2024-03-15", 3)],
)
def test_steps_before_a_cut_are_counted(text: str, cut: str, steps: int) -> None:
    before = Frequency.parse(text).before(int(stamps(cut)[0]), stamps("2024-01-01", "2030-01-01"))
    assert before.tolist() == [steps, 0]


def test_iso_leaves_out_midnight() -> None:
    assert iso(stamps("2024-05-31")) == ["2024-05-31"]
    assert datetime.fromisoformat(iso(stamps("2024-05-31T10:30"))[0]) == datetime(2024, 5, 31, 10, 30)
