"""Columns of other sources beside the rows of the first, by key and as of a time."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runwright_components.collect import collect
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event, Progress

Rows = list[dict[str, Any]]

VISITS = "customer,day,amount\n2,2024-03-05,10\n1,2024-01-02,20\n9,2024-02-01,30\n1,2024-05-01,40\n,2024-01-01,50\n"
CUSTOMERS = "customer,city,day\n1,Graz,mon\n2,Linz,tue\n3,Wien,wed\n"
PRICES = "who,since,price\n1,2024-01-01,5\n1,2024-04-30,6\n1,2024-05-02,7\n2,2024-03-05,8\n9,2024-02-02,9\n"


class Joining:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []

    def __call__(
        self, join: dict[str, Any], right: str, left: str = VISITS, limit: int | None = None, name: str = "out"
    ) -> tuple[RawManifest, Rows]:
        (self.root / "left.csv").write_text(left)
        (self.root / "right.csv").write_text(right)
        sources = (Source(name="visits", uri="left.csv"), Source(name="other", uri="right.csv"))
        config = CollectConfig.model_validate(
            {"sources": sources, "base": str(self.root), "max_rows": limit, "joins": [{"source": "other", **join}]}
        )
        manifest = collect(config, out=self.root / name, progress=Progress("collect", self.events.append))
        (file,) = manifest.files
        return manifest, pl.read_parquet(self.root / name / file, glob=False).to_dicts()


@pytest.fixture
def joining(tmp_path: Path) -> Joining:
    return Joining(tmp_path)


BY_KEY = {"left": ["customer"], "right": ["customer"]}
AS_OF = {"left": ["customer"], "right": ["who"], "asof": {"left": "day", "right": "since"}}


def test_rows_keep_their_place_and_a_name_that_is_taken_gets_the_sources(joining: Joining) -> None:
    manifest, rows = joining(BY_KEY, CUSTOMERS)
    assert [row["amount"] for row in rows] == ["10", "20", "30", "40", "50"]
    assert [row["city"] for row in rows] == ["Linz", "Graz", None, "Graz", None]
    assert list(rows[0]) == ["customer", "day", "amount", "city", "other.day"] == list(manifest.columns)
    assert manifest.rows == 5
    assert [record.name for record in manifest.sources] == ["visits", "other"]
    assert any("2 of 5 rows find no row in source other" in event.message for event in joining.events)
    assert not list(joining.root.glob(".out*"))


def test_keys_are_compared_as_text_whatever_their_type(joining: Joining, tmp_path: Path) -> None:
    pl.DataFrame({"id": [1.0, 2.0], "level": ["low", "high"]}).write_parquet(tmp_path / "levels.parquet")
    (tmp_path / "left.csv").write_text(VISITS)
    sources = (Source(name="a", uri="left.csv"), Source(name="b", uri="levels.parquet"))
    config = CollectConfig.model_validate(
        {
            "sources": sources,
            "base": str(tmp_path),
            "joins": [{"source": "b", "left": ["customer"], "right": ["id"]}],
        }
    )
    manifest = collect(config, out=tmp_path / "out", progress=Progress("collect", joining.events.append))
    rows = pl.read_parquet(tmp_path / "out" / manifest.files[0])
    assert rows["level"].to_list() == ["high", "low", None, "low", None]


def test_as_of_a_time_nothing_comes_from_the_future(joining: Joining) -> None:
    _, rows = joining(AS_OF, PRICES)
    # 9 has a price from the day after alone; 2 has one from the very day.
    assert [row["price"] for row in rows] == ["8", "5", None, "6", None]
    assert [row["since"] for row in rows] == ["2024-03-05", "2024-01-01", None, "2024-04-30", None]


def test_what_is_too_old_does_not_count(joining: Joining) -> None:
    day = {"left": "day", "right": "since", "tolerance_seconds": 86_400}
    _, rows = joining({**AS_OF, "asof": day}, PRICES.replace("2024-01-01,5", "2023-12-31,5"))
    assert [row["price"] for row in rows] == ["8", None, None, "6", None]


def test_as_of_a_time_without_a_key(joining: Joining) -> None:
    weather = "since,rain\n2024-04-01,wet\n2024-01-01,dry\n"
    _, rows = joining({"asof": {"left": "day", "right": "since"}}, weather)
    assert [row["rain"] for row in rows] == ["dry", "dry", "dry", "wet", "dry"]


def test_times_in_their_own_notation(joining: Joining) -> None:
    german = PRICES.replace("2024-03-05", "05.03.2024")
    asof = {"left": "day", "right": "since", "formats": ("%d.%m.%Y",)}
    _, rows = joining({**AS_OF, "asof": asof}, german)
    assert rows[0]["price"] == "8"


def test_the_limit_is_of_the_rows_that_are_joined_to(joining: Joining) -> None:
    manifest, rows = joining(BY_KEY, "customer,city\n7,Bonn\n8,Köln\n1,Graz\n2,Linz\n", limit=2)
    assert manifest.rows == 2
    assert [row["city"] for row in rows] == ["Linz", "Graz"]


def test_the_digest_knows_the_join(joining: Joining) -> None:
    first, _ = joining(BY_KEY, CUSTOMERS)
    again, _ = joining(BY_KEY, CUSTOMERS, name="again")
    other, _ = joining(BY_KEY, CUSTOMERS.replace("Graz", "Wels"), name="other")
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize(
    ("join", "right", "words", "cure"),
    [
        (BY_KEY, CUSTOMERS + "1,Wels,thu\n", "2 rows of source 'other' have the key customer = '1'", "asof"),
        (
            {**BY_KEY, "relation": "oneToOne"},
            CUSTOMERS,
            "2 rows of the rows that it is joined to have the key customer = '1'",
            "more columns",
        ),
        (AS_OF, PRICES + "1,2024-01-01,5\n", "2 rows of source 'other' have the key who = '1' at one time", "one row"),
        (BY_KEY, "customer,city\n7,Bonn\n", "none of 5 rows finds its row in source 'other'", "same values"),
        ({**BY_KEY, "right": ["id"]}, CUSTOMERS, "the source of the join lacks the column 'id'", "customer, city"),
        ({**BY_KEY, "left": ["id"]}, CUSTOMERS, "joined to of the join lack the column 'id'", "amount"),
        (AS_OF, PRICES.replace("2024-01-01", "New Year"), "column 'since' holds 'New Year'", "asof.formats"),
        (
            BY_KEY,
            "customer,day,other.day\n1,mon,1\n",
            "both have a column 'day', and 'other.day' is taken as well",
            "rename",
        ),
    ],
    ids=["repeated", "one to one", "at one time", "nothing found", "right", "left", "no time", "name"],
)
def test_bad_joins_leave_nothing_behind(
    joining: Joining, join: dict[str, Any], right: str, words: str, cure: str
) -> None:
    with pytest.raises(StageError) as caught:
        joining(join, right)
    assert words in caught.value.message
    assert "source other" in (caught.value.where or "")
    assert cure in caught.value.cure
    assert sorted(path.name for path in joining.root.iterdir()) == ["left.csv", "right.csv"]
