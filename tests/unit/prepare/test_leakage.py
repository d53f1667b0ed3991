"""Columns that tell more than a model will know, told, left out or refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, PreparedManifest
from runwright_components.contract.outcome import StageError
from runwright_components.prepare.quality import Finding, Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
ROWS = 400


def table(seed: int = 0) -> pl.DataFrame:
    """`honest` says something of y, the others are as their tests want them."""
    random = np.random.default_rng(seed)
    honest = random.normal(size=ROWS)
    wanted = honest + random.normal(0, 0.5, ROWS) > 0
    return pl.DataFrame(
        {
            "honest": honest,
            "noise": random.normal(size=ROWS),
            "color": random.choice(["red", "blue", "green"], ROWS),
            "y": pl.Series(wanted).replace_strict({True: "yes", False: "no"}, return_dtype=pl.String),
        }
    )


def findings(folder: Path) -> list[Finding]:
    return list(Quality.read(folder, QUALITY).findings)


def test_an_honest_table_has_nothing_to_tell(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table())
    assert findings(folder) == []


@pytest.mark.parametrize(
    "leak",
    [
        pl.when(pl.col("y") == "yes").then(pl.col("noise").abs() + 1).otherwise(-pl.col("noise").abs()).alias("leak"),
        pl.when(pl.col("y") == "yes").then(pl.lit("paid")).otherwise(pl.lit("open")).alias("leak"),
        pl.when(pl.col("y") == "yes").then(pl.col("noise")).alias("leak"),
    ],
    ids=["by its value", "by its category", "by being missing"],
)
def test_a_column_that_foretells_the_class_is_told(prepare_table: PrepareTable, leak: pl.Expr) -> None:
    folder, manifest = prepare_table(table().with_columns(leak))
    (found,) = findings(folder)
    assert (found.kind, found.severity, found.column) == ("target", "high", "leak")
    assert "column 'leak' foretells the target by itself: 100.0%" in found.text
    assert "leak" in {field.name for field in manifest.signature.inputs}


def test_a_column_that_is_the_value_in_other_units_is_told(prepare_table: PrepareTable) -> None:
    random = np.random.default_rng(1)
    price = random.lognormal(3, 1, ROWS)
    frame = pl.DataFrame({"x": price * random.uniform(0.5, 1.5, ROWS), "cents": np.log(price), "y": price})
    folder, _ = prepare_table(frame, task="regression")
    assert [(found.kind, found.column) for found in findings(folder)] == [("target", "cents")]


def test_leaks_are_left_out_on_demand(prepare_table: PrepareTable) -> None:
    frame = table().with_columns(copy=pl.col("y").str.to_uppercase())
    folder, manifest = prepare_table(frame, leakage="drop")
    assert {field.name for field in manifest.signature.inputs} == {"honest", "noise", "color"}
    assert "copy" in manifest.signature.ignored
    report = next(column for column in Quality.read(folder, QUALITY).columns if column.name == "copy")
    assert "foretells the target" in report.reason


def test_leaks_are_refused_on_demand(prepare_table: PrepareTable) -> None:
    frame = table().with_columns(copy=pl.col("y"))
    with pytest.raises(StageError, match="'copy' foretells the target") as caught:
        prepare_table(frame, leakage="fail")
    assert caught.value.where == "column copy"
    assert "type: ignore" in caught.value.cure


def test_leaks_are_not_looked_for_on_demand(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table().with_columns(copy=pl.col("y")), leakage="ignore")
    assert findings(folder) == []


def test_an_identifier_that_is_given_a_type_is_told(prepare_table: PrepareTable) -> None:
    frame = table().with_columns(ticket=pl.format("T-{}", pl.int_range(pl.len())))
    folder, _ = prepare_table(frame, columns=[{"name": "ticket", "type": "categorical"}])
    (found,) = findings(folder)
    assert (found.kind, found.severity, found.column) == ("identifier", "medium", "ticket")
    assert "280 values in 280 training rows" in found.text


def test_an_entity_on_both_sides_is_told_unless_the_split_is_by_it(prepare_table: PrepareTable) -> None:
    frame = table().with_columns(patient_id=pl.format("p{}", pl.int_range(pl.len()) // 4))
    folder, _ = prepare_table(frame, "random", split={"strategy": "random"})
    (found,) = findings(folder)
    assert (found.kind, found.column) == ("entity", "patient_id")
    assert found.rows == len(found.samples) or found.rows > 5
    assert "split: {strategy: group, by: patient_id}" in found.text
    folder, _ = prepare_table(frame, "group", split={"strategy": "group", "by": "patient_id"})
    assert findings(folder) == []
