"""How a column writes numbers and dates, told from its values."""

import polars as pl
import pytest

from runwright_components.features.values import Notation, Words, moment, number
from runwright_components.prepare import dates, notations

WORDS = Words(missing=("", "na", "-999"))


def counted(values: list[str]) -> list[tuple[str, int]]:
    return [(value, 1) for value in values]


def read(values: list[str], notation: Notation) -> list[float | None]:
    frame = pl.DataFrame({"v": values})
    return frame.select(number(pl.col("v"), pl.String(), notation, WORDS)).to_series().to_list()


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1", "-2.5", "1e3", "+.5"], [1, -2.5, 1000, 0.5]),
        (["1,234.5", "12", "1,234,567"], [1234.5, 12, 1234567]),
        (["1.234,5", "12,25", "7"], [1234.5, 12.25, 7]),
        (["1.234.567", "89.000"], [1234567, 89000]),
        (["3,5", "2,75"], [3.5, 2.75]),
        (["1,234", "12,345"], [1234, 12345]),
        (["1 234,5", "12"], [1234.5, 12]),
        (["1'234.5", "12"], [1234.5, 12]),
        (["$5", "$1,200.50", "-$3"], [5, 1200.5, -3]),
        (["USD5", "USD 1,200"], [5, 1200]),
        (["12 %", "7.5%"], [12, 7.5]),
        (["3.5 kg", "70 KG", "80"], [3.5, 70, 80]),
        (["(5)", "7", "(1,234.5)"], [-5, 7, -1234.5]),
        (["($5.00)", "$7"], [-5, 7]),
    ],
)
def test_numbers(texts: list[str], numbers: list[float]) -> None:
    found = notations.find(counted(texts), "auto", free=True)
    assert found.share == 1
    assert read(texts, found.notation) == pytest.approx(numbers)


@pytest.mark.parametrize(
    "texts",
    [
        ["5 kg", "11 lb"],
        ["A12", "B7"],
        ["PAL0708", "PAL0809"],
        ["B-737", "B-747"],
        ["red", "blue"],
        ["12-05", "13-06"],
        ["1.2.3"],
    ],
)
def test_what_is_no_number(texts: list[str]) -> None:
    assert notations.find(counted(texts), "auto", free=True).share < 0.95


def test_the_configuration_decides_what_the_values_leave_open() -> None:
    texts = ["1,234", "5,678"]
    assert "decimal mark" in notations.find(counted(texts), "auto", free=True).note
    comma = notations.find(counted(texts), "comma", free=True)
    assert read(texts, comma.notation) == [1.234, 5.678]
    assert notations.find(counted(["$5", "$7"]), "auto", free=False).share == 0


def test_points_and_commas_in_one_column_are_both_decimal_marks() -> None:
    texts = [*(f"{number}.25" for number in range(16)), "3,5", "-4,125", "7", "8,0"]
    found = notations.find(counted(texts), "auto", free=True)
    assert found.share == 1
    assert "decimal points in 16 rows and decimal commas in 3" in found.note
    assert read(["3,5", "-4,125", "7", "1.5", "1,2,3"], found.notation)[:4] == [3.5, -4.125, 7, 1.5]
    assert notations.find(counted(["1,234", "1,234.5", "2.5"]), "auto", free=True).notation.grouping == ","


def test_missing_and_unreadable_are_told_apart() -> None:
    values = read(["1,5", "NA", "-999", "junk", " 2,345 "], Notation(grouping=","))
    assert values[1:3] == [None, None]
    assert values[0] != values[0]  # NaN: digits are not grouped so
    assert values[3] != values[3]
    assert values[4] == 2345


def times(texts: list[str], formats: tuple[str, ...]) -> list[str | None]:
    frame = pl.DataFrame({"t": texts}).select(moment(pl.col("t"), pl.String(), formats, WORDS).alias("t"))
    return frame.select(pl.col("t").fill_nan(None).cast(pl.Int64).cast(pl.Datetime("us")).dt.to_string("%F %T"))[
        "t"
    ].to_list()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            ["2020-02-03", "2020-02-03T04:05:06Z", "2020-02-03 04:05"],
            ["02-03 00:00:00", "02-03 04:05:06", "02-03 04:05:00"],
        ),
        (["2020-02-03T04:05:06+02:00"], ["02-03 02:05:06"]),
        (["31/01/2020", "03/02/2020"], ["01-31 00:00:00", "02-03 00:00:00"]),
        (["01/31/2020", "02/03/2020"], ["01-31 00:00:00", "02-03 00:00:00"]),
        (["31.01.2020 17:30", "03.02.2020 04:05"], ["01-31 17:30:00", "02-03 04:05:00"]),
        (["3 Feb 2020", "Jan 31, 2020", "2020/02/03"], ["02-03 00:00:00", "01-31 00:00:00", "02-03 00:00:00"]),
        (["01/31/20", "02/03/20"], ["01-31 00:00:00", "02-03 00:00:00"]),
        (["2/3/2020 4:05 PM", "1/31/2020 12:00 AM"], ["02-03 16:05:00", "01-31 00:00:00"]),
    ],
)
def test_dates(texts: list[str], expected: list[str]) -> None:
    found = dates.find(counted(texts), ())
    assert found.share == 1
    assert times(texts, found.formats) == [f"2020-{moment}" for moment in expected]


def test_day_and_month_are_told_by_the_whole_column() -> None:
    open_question = dates.find(counted(["03/02/2020", "04/05/2020"]), ())
    assert open_question.unsure
    assert open_question.formats == ("%d/%m/%Y",)
    told = dates.find(counted(["03/02/2020", "04/05/2020"]), (), evidence=(0, 7))
    assert told.formats == ("%m/%d/%Y",)
    assert "7 rows" in told.note
    assert not told.unsure
    both = dates.find(counted(["31/01/2020", "30/01/2020", "01/31/2020"]), ())
    assert both.unsure
    assert both.share == 1


def test_given_formats_come_first() -> None:
    found = dates.find(counted(["03/02/2020"]), ("%m/%d/%Y",))
    assert found.formats == ("%m/%d/%Y",)
    assert not found.unsure


@pytest.mark.parametrize("texts", [["red", "blue"], ["cat-1-02", "cat-2-03"], ["99/99/2020"], ["1234"]])
def test_what_is_no_date(texts: list[str]) -> None:
    assert dates.find(counted(texts), ()).share < 0.95
