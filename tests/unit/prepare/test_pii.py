"""`prepare.pii`: what is told, what is rewritten before anything is fitted, and that a served row gets the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import PREPROCESSING, QUALITY, QUARANTINE, RAW_TEST, PreparedManifest
from runwright_components.contract.outcome import StageError
from runwright_components.features import Preprocessing, load_split
from runwright_components.features.pii import MASKING, Masking
from runwright_components.prepare.quality import Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]
ROWS = 120
NOTE = [{"name": "note", "type": "text"}]


def table() -> pl.DataFrame:
    """`note`: free text, with an address in every second row; `contact`: addresses, four of each; `code`: numbers that
    a check digit passes now and then."""
    notes = [f"order {i} of ann{i}@example.com late" if i % 2 else f"order {i} was fine" for i in range(ROWS)]
    contacts = [f"person{i // 4}@example.com" for i in range(ROWS)]
    codes = [str(4_000_000_000_000_000 + i) for i in range(ROWS)]
    values = [float(i % 7) for i in range(ROWS)]
    frame = pl.DataFrame({"note": notes, "contact": contacts, "code": codes, "x": values})
    return frame.with_columns(y=pl.when(pl.col("x") > 3).then(pl.lit("a")).otherwise(pl.lit("b")))


def everything_written(folder: Path) -> str:
    """The text of all files, of tables their cells."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".parquet":
            found.append(str(pl.read_parquet(file).to_dicts()))
        elif file.is_file():
            found.append(file.read_bytes().decode("utf-8", errors="replace"))
    return "\n".join(found)


def test_by_default_the_report_tells_without_showing(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table(), columns=NOTE)
    found = {
        finding.column: finding for finding in Quality.read(folder, QUALITY).findings if finding.kind == "personal"
    }
    assert found.keys() == {"note", "contact"}
    assert found["note"].rows == ROWS // 2
    assert found["note"].text == (
        "column 'note' holds personal data: email in 50.0% of its values, such as a***@*******.***; "
        "prepare.pii: {action: mask} hides them"
    )
    assert not (folder / PREPROCESSING / MASKING).exists()


def test_nothing_that_is_written_has_what_was_masked(prepare_table: PrepareTable) -> None:
    rules = [{"column": "x", "range": {"max": 5}, "on_failure": "quarantine"}]
    rules += [{"column": "contact", "matches": "person[0-8].*", "on_failure": "warn"}]
    folder, manifest = prepare_table(table(), columns=NOTE, pii={"action": "mask"}, expectations=rules)
    assert "@example" not in everything_written(folder)
    assert manifest.rows["test"] > 0
    assert pl.read_parquet(folder / RAW_TEST)["contact"].unique().to_list() == ["<email>"]
    assert pl.read_parquet(folder / QUARANTINE)["contact"].unique().to_list() == ["<email>"]
    assert not [path for path in folder.parent.iterdir() if "scratch" in path.name]


def test_rules_look_at_what_the_source_has(prepare_table: PrepareTable) -> None:
    rules = [{"column": "contact", "matches": r"person\d+@example\.com"}]
    prepare_table(table(), pii={"action": "mask"}, expectations=rules)


@pytest.mark.parametrize("pii", [{"action": "mask"}, {"action": "hash", "salt": "of this test"}])
def test_a_served_row_gets_what_the_batch_gave_it(prepare_table: PrepareTable, pii: dict[str, Any]) -> None:
    raw = table()
    folder, _ = prepare_table(raw, columns=[*NOTE, {"name": "contact", "type": "categorical"}], pii=pii)
    masking = Masking.beside(folder / PREPROCESSING)
    assert masking is not None
    split = load_split(folder, "test")
    rows = raw[split.row_id]
    served = Preprocessing.load(folder / PREPROCESSING).transform(masking.frame(rows))
    for name, values in split.inputs.items():
        np.testing.assert_array_equal(served[name], values)


def test_hashes_keep_persons_apart(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(
        table(),
        pii={"action": "hash", "salt": "of this test", "columns": ["contact"]},
        split={"strategy": "group", "by": "contact"},
    )
    contacts = pl.read_parquet(folder / RAW_TEST)["contact"]
    assert contacts.str.starts_with("<email:").all()
    assert contacts.value_counts()["count"].to_list() == [4] * contacts.n_unique()


def test_columns_with_personal_data_are_left_out(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(table(), columns=NOTE, pii={"action": "drop"})
    assert set(pl.read_parquet(folder / RAW_TEST).columns) == {"row_id", "code", "x", "y"}
    assert {"note", "contact"} <= set(manifest.signature.ignored)
    assert "@example" not in everything_written(folder)


def test_digits_that_pass_a_check_by_chance_are_no_cards(prepare_table: PrepareTable) -> None:
    folder, _ = prepare_table(table(), pii={"action": "mask", "kinds": ["creditCard"]})
    assert not [finding for finding in Quality.read(folder, QUALITY).findings if finding.kind == "personal"]


def test_a_text_task_learns_from_masked_texts(prepare_table: PrepareTable) -> None:
    folder, manifest = prepare_table(
        table(),
        modality="text",
        task="classification",
        text={"column": "note", "vocabulary": 300},
        pii={"action": "mask"},
    )
    assert "@example" not in everything_written(folder)
    assert manifest.signature.inputs[0].name == "note"


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "masked groups": (
        {"pii": {"action": "mask"}, "split": {"strategy": "group", "by": "contact"}},
        ["'contact' holds personal data and tells rows apart", "prepare.split.by", "action: hash"],
    ),
    "a key left out": (
        {"pii": {"action": "drop"}, "duplicates_by": {"columns": ["contact"]}},
        ["'contact' holds personal data", "prepare.duplicatesBy"],
    ),
    "texts left out": (
        {"pii": {"action": "drop"}, "modality": "text", "text": {"column": "note"}},
        ["cannot be left out", "prepare.text", "action: mask"],
    ),
    "a column of numbers": ({"pii": {"columns": ["x"]}}, ["'x' holds Float64, not text", "type: ignore"]),
    "no such column": ({"pii": {"columns": ["mail"]}}, ["no column 'mail'", "prepare.pii.columns[0]", "contact"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_refused_with_place_and_cure(name: str, prepare_table: PrepareTable) -> None:
    settings, words = REFUSED[name]
    with pytest.raises(StageError) as caught:
        prepare_table(table(), **settings)
    told = f"{caught.value.message} {caught.value.where} {caught.value.cure}"
    assert all(word in told for word in words), told
