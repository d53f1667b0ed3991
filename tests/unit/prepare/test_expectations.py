"""Expectations: what each rule finds, rows in quarantine, and how a broken rule ends the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, QUARANTINE, ROW_ID, PreparedManifest
from runwright_components.contract.config import SPLITS, PrepareConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Event, Progress
from runwright_components.prepare import prepare
from runwright_components.prepare.expectation_checks import broken_rows
from runwright_components.prepare.expectations import REASON, RULE
from runwright_components.prepare.quality import Quality
from runwright_components.prepare.raw import open_raw
from runwright_components.prepare.verdicts import EXPECTATIONS, Verdicts

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
ROWS = 60


def table() -> pl.DataFrame:
    """Clean rows 0 to 51; what is wrong stands in the last eight."""
    ages = [f"{20 + i % 40},5" for i in range(ROWS)]
    ages[52:56] = ["-1,0", "abc", "?", "400,0"]
    codes = [f"AB-{i}" for i in range(ROWS)]
    codes[56], codes[57] = "ab-56", codes[0]
    starts, ends = ["2024-01-10"] * ROWS, ["2024-02-10"] * ROWS
    ends[58], starts[59] = "2023-12-31", "1899-12-30"
    return pl.DataFrame(
        {
            "age": ages,
            "code": codes,
            "island": (["Biscoe", "dream ", "DREAM"] * ROWS)[:ROWS],
            "start": starts,
            "end": ends,
            "y": ["a", "b"] * (ROWS // 2),
        }
    )


FOUND: dict[str, tuple[dict[str, Any], list[int]]] = {
    "numbers in their notation; missing is within, unreadable is not": (
        {"column": "age", "range": {"min": 0, "max": 120}},
        [52, 53, 55],
    ),
    "only a lower bound": ({"column": "age", "range": {"min": 0}}, [52, 53]),
    "a type": ({"column": "age", "type": "numeric"}, [53]),
    "whole numbers": ({"column": "age", "type": "integer"}, [*range(52), 53, 56, 57, 58, 59]),
    "missing": ({"column": "age", "not_null": True}, [54]),
    "dates": ({"column": "start", "range": {"earliest": "1900-01-01", "latest": "2024-01-10"}}, [59]),
    "a set, case folded": ({"column": "island", "one_of": ["Dream", "Biscoe"]}, []),
    "a set that lacks one": ({"column": "island", "one_of": ["Dream"]}, list(range(0, ROWS, 3))),
    "a pattern of the whole value": ({"column": "code", "matches": "AB-\\d+"}, [56]),
    "a key": ({"unique": ["code"]}, [57]),
    "a key of several columns": ({"unique": ["code", "end"]}, [57]),
    "columns of a row": ({"compare": {"left": "start", "op": "<=", "right": "end"}}, [58]),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_rule_finds_the_rows_that_break_it(name: str, write_raw: Callable[..., Path]) -> None:
    rule, expected = FOUND[name]
    config = PrepareConfig.model_validate(
        {"modality": "tabular", "task": "classification", "target": "y", "expectations": [rule]}
    )
    [rows] = broken_rows(open_raw(write_raw(table(), parts=2)), config.expectations, config)
    assert rows.tolist() == expected


def test_rows_in_quarantine_are_kept_with_the_reason_and_in_no_split(prepare_table: PrepareTable) -> None:
    rules = [
        {"name": "ages", "column": "age", "range": {"min": 0, "max": 120}, "on_failure": "quarantine"},
        {"column": "age", "type": "numeric", "on_failure": "quarantine"},
        {"unique": ["code"], "on_failure": "warn"},
        {"min_rows": 50},
    ]
    folder, manifest = prepare_table(table(), expectations=rules)
    aside = pl.read_parquet(folder / manifest.quarantine)
    assert aside[ROW_ID].to_list() == [52, 53, 55]
    assert aside[RULE].to_list() == ["ages", "ages; age is numeric", "ages"]
    assert aside[REASON][0] == "age from 0 to 120"
    assert aside["age"].to_list() == ["-1,0", "abc", "400,0"]
    assert manifest.quarantined == {"ages": 3, "age is numeric": 1}
    used = pl.concat(pl.read_parquet(folder / f"{split}.parquet", columns=[ROW_ID]) for split in SPLITS)
    assert sorted(used[ROW_ID]) == [row for row in range(ROWS) if row not in (52, 53, 55)]
    assert [verdict.outcome for verdict in Verdicts.read(folder, EXPECTATIONS).verdicts] == [
        "quarantined", "quarantined", "warned", "kept",
    ]  # fmt: skip
    assert Quality.read(folder, QUALITY).rows_out == ROWS - 3


def test_without_broken_rules_nothing_is_put_aside(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(
        table(), expectations=[{"column": "y", "not_null": True, "on_failure": "quarantine"}]
    )
    assert manifest.quarantine == ""
    assert not (folder / QUARANTINE).exists()


FATAL: dict[str, tuple[list[dict[str, Any]], Reason, list[str]]] = {
    "every broken rule is named": (
        [
            {"name": "ages", "column": "age", "range": {"min": 0, "max": 120}},
            {"column": "code", "matches": "AB-\\d+"},
        ],
        Reason.DATA_INVALID,
        [
            "expectation 'ages' (age from 0 to 120) is broken by 3 of 60 rows, column age: "
            "row 52: '-1,0', row 53: 'abc', row 55: '400,0'",
            "'code matches AB-\\\\d+' is broken by 1 of 60 rows, column code: row 56: 'ab-56'",
            "onFailure: quarantine",
        ],
    ),
    "more than the share": (
        [{"column": "age", "range": {"min": 0, "max": 120}, "on_failure": "quarantine", "max_share": 0.04}],
        Reason.DATA_INVALID,
        ["3 of 60 rows"],
    ),
    "too few rows": ([{"min_rows": 61}], Reason.DATA_INVALID, ["'at least 61 rows'", "60 rows are left", "minRows"]),
    "nothing is left": (
        [{"column": "y", "one_of": ["z"], "on_failure": "quarantine"}],
        Reason.DATA_INVALID,
        ["all 60 rows stand in quarantine", "no row keeps all of them"],
    ),
    "no such column": (
        [{"column": "Age", "not_null": True}],
        Reason.INVALID_CONFIG,
        ["the data have no column 'Age'", "age, code, island"],
    ),
}


@pytest.mark.parametrize("name", FATAL)
def test_a_broken_rule_ends_the_run_with_place_and_cure(name: str, prepare_table: PrepareTable, tmp_path: Path) -> None:
    rules, reason, words = FATAL[name]
    with pytest.raises(StageError) as caught:
        prepare_table(table(), expectations=rules)
    assert caught.value.reason is reason
    assert caught.value.where == "prepare.expectations"
    for word in words:
        assert word in str(caught.value)
    assert not list(tmp_path.glob("prepared-*"))


def test_a_share_that_is_tolerated_is_told(write_raw: Callable[..., Path], tmp_path: Path) -> None:
    told: list[Event] = []
    config = PrepareConfig.model_validate(
        {
            "modality": "tabular",
            "task": "classification",
            "target": "y",
            "expectations": [{"column": "age", "type": "numeric", "max_share": 0.1}],
        }
    )
    raw, out = write_raw(table()), tmp_path / "out"
    manifest = prepare(config, raw=raw, out=out, progress=Progress("prepare", told.append))
    assert sum(manifest.rows.values()) == ROWS
    assert any("'age is numeric' is broken by 1 of 60 rows" in event.message for event in told)


def test_texts_in_quarantine_are_not_learned(write_raw: Callable[..., Path], tmp_path: Path) -> None:
    texts = [f"good words number {i}" for i in range(ROWS)]
    texts[7] = "<html>"
    frame = pl.DataFrame({"text": texts, "label": ["a", "b"] * (ROWS // 2)})
    config = PrepareConfig.model_validate(
        {
            "modality": "text",
            "task": "classification",
            "target": "label",
            "text": {"vocabulary": 300, "max_tokens": 16},
            "expectations": [{"column": "text", "matches": "[^<]*", "on_failure": "quarantine"}],
        }
    )
    manifest = prepare(config, raw=write_raw(frame), out=tmp_path / "out", progress=Progress("prepare", lambda _: None))
    assert sum(manifest.rows.values()) == ROWS - 1
    assert manifest.quarantined == {"text matches [^<]*": 1}
