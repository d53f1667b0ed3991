"""Sources that expectations look into: their columns are kept, and prepare finds what is not in them."""

from pathlib import Path
from typing import Any

import pytest

from runwright_components.collect import collect
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, PrepareConfig
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import silent
from runwright_components.prepare.expectation_checks import broken_rows
from runwright_components.prepare.raw import open_raw

VISITS = "customer,amount\n2,10\n 1,20\n9,30\n,40\n3.5,50\nx,60\n"
CUSTOMERS = "id,city\n1,Graz\n2,Linz\n3.5,Wien\n2,Graz\n"


def collected(root: Path, **config: Any) -> RawManifest:
    (root / "visits.csv").write_text(VISITS)
    (root / "customers.csv").write_text(CUSTOMERS)
    sources = [{"name": name, "uri": f"{name}.csv"} for name in ("visits", "customers")]
    settings = {"sources": sources, "base": str(root), "references": [{"source": "customers", "columns": ["id"]}]}
    return collect(CollectConfig.model_validate({**settings, **config}), out=root / "raw", progress=silent())


def broken(root: Path) -> list[int]:
    rule = {"column": "customer", "references": {"source": "customers", "column": "id"}}
    config = PrepareConfig.model_validate(
        {"modality": "tabular", "task": "regression", "target": "amount", "expectations": [rule]}
    )
    [rows] = broken_rows(open_raw(root / "raw"), config.expectations, config)
    found: list[int] = rows.tolist()
    return found


def test_values_that_no_row_of_the_other_source_has_break_the_rule(tmp_path: Path) -> None:
    manifest = collected(tmp_path)
    assert manifest.rows == 6
    assert list(manifest.columns) == ["customer", "amount"]
    assert [record.name for record in manifest.sources] == ["visits", "customers"]
    assert broken(tmp_path) == [2, 5]  # a missing value breaks notNull alone


def test_a_source_may_be_joined_and_looked_into_and_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "cities.csv").write_text("city\nGraz\n")
    join = {"source": "customers", "left": ["customer"], "right": ["id"]}
    with pytest.raises(StageError, match="have the key"):
        collected(tmp_path, joins=[join])
    sources = [{"name": name, "uri": f"{name}.csv"} for name in ("visits", "customers")]
    reference = {"source": "visits", "columns": ["customer"]}
    manifest = collected(
        tmp_path,
        sources=[sources[1], sources[0]],
        joins=[{"source": "visits", "left": ["id"], "right": ["customer"]}],
        references=[reference],
        max_rows=2,
    )
    assert list(manifest.columns) == ["id", "city", "amount"]
    assert manifest.references == {"visits": "references/visits.parquet"}


def test_what_is_kept_decides_the_digest(tmp_path: Path) -> None:
    one = collected(tmp_path).digest
    for file in (tmp_path / "raw").rglob("*"):
        if file.is_file():
            file.unlink()
    (tmp_path / "raw").rename(tmp_path / "before")
    assert collected(tmp_path, references=[{"source": "customers", "columns": ["city"]}]).digest != one


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        collected(tmp_path, references=[{"source": "customers", "columns": ["number"]}])
    assert "source 'customers' has no column 'number'" in caught.value.message
    assert "id, city" in caught.value.cure
    assert not (tmp_path / "raw").exists()
