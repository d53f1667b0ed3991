"""`prepare.duplicatesFuzzy`: rows whose texts nearly agree."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, ROW_ID, PreparedManifest
from runwright_components.contract.config import SPLITS
from runwright_components.contract.outcome import StageError
from runwright_components.prepare.quality import Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
PERSONS = [
    ("Maria Gonzales", "Hauptstrasse 12", "8010"),
    ("maria  gonzalez", "Hauptstraße 12", "8010"),
    ("Peter Novak", "Ringweg 4", "8010"),
    ("Maria Gonzales", "Hauptstrasse 12", "1010"),
    (None, None, "8010"),
    (None, None, "8010"),
]


def table() -> pl.DataFrame:
    """Persons, of whom the second is the first one again, and others far apart."""
    others = [(f"{(i + 40) ** 9:x}", f"{(i + 50) ** 7:x}", "1010") for i in range(60)]
    rows = [*PERSONS, *others]
    frame = pl.DataFrame(rows, schema=["name", "street", "zip"], orient="row")
    return frame.with_columns(y=pl.Series(["a", "b"] * (len(rows) // 2)), x=pl.int_range(len(rows)) * 0.5)


def kept(folder: Path) -> set[int]:
    rows = pl.concat(pl.read_parquet(folder / f"{split}.parquet", columns=[ROW_ID]) for split in SPLITS)
    return set(rows[ROW_ID].to_list())


@pytest.mark.parametrize(("same", "gone"), [([], {1, 3}), (["zip"], {1})])
def test_of_rows_that_nearly_agree_the_first_is_kept(
    prepare_table: PrepareTable, same: list[str], gone: set[int]
) -> None:
    folder, _ = prepare_table(table(), duplicates_fuzzy={"columns": ["name", "street"], "same": same})
    assert set(range(len(table()))) - kept(folder) == gone
    [dropped] = Quality.read(folder, QUALITY).dropped
    assert dropped.rows == len(gone)
    assert "nearly the same name, street as an earlier row (row 1 like row 0" in dropped.reason


def test_they_may_be_told_and_kept(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table(), duplicates_fuzzy={"columns": ["name"], "action": "warn"})
    assert len(kept(folder)) == len(table())
    assert any("2 rows: nearly the same name" in warning for warning in Quality.read(folder, QUALITY).warnings)


@pytest.mark.parametrize(
    ("rules", "where"),
    [({"columns": ["surname"]}, "duplicatesFuzzy.columns[0]"), ({"columns": ["name"], "same": ["a"]}, ".same[0]")],
)
def test_a_column_that_is_not_there_is_named(prepare_table: PrepareTable, rules: dict[str, Any], where: str) -> None:
    with pytest.raises(StageError, match="the data have no column") as caught:
        prepare_table(table(), duplicates_fuzzy=rules)
    assert where in caught.value.where
