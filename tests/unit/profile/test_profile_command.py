"""`runwright profile` on a dirty table: what it says, what it proposes, and that the proposal is accepted."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from runwright_api import load_object
from runwright_cli.main import cli
from runwright_cli.profile_command import profile as command
from runwright_components.contract.outcome import StageError

ROWS = 240


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = range(ROWS)
    frame = pl.DataFrame(
        {
            "row_no": [1000 + i for i in rows],
            "price": [f"{1000 + 37 * (i * 7 % ROWS):,}".replace(",", ".") + ",50 €" for i in rows],
            "age": ["-999" if i % 40 == 3 else str(20 + i * i % 45) for i in rows],
            "length": [str(9000.0 if i == 17 else 10 + i % 13 / 4) for i in rows],
            "day": [f"{1 + i % 28:02}.{1 + i % 12:02}.2024" for i in rows],
            "city": ["Nuremburg" if i == 8 else ("Nuremberg", "Köln")[i % 2] for i in rows],
            "member": ["yes" if i % 3 else "no" for i in rows],
            "note": [f"this is remark {i} on it" for i in rows],
            "always": ["one"] * ROWS,
            "code": [("A", "B")[i % 20 == 0] for i in rows],
            "label": [("good", "bad")[i % 20 == 0] for i in rows],
        }
    )
    path = tmp_path_factory.mktemp("table") / "shop: \u202dtable.csv"
    pl.concat([frame, frame.head(3)]).write_csv(path, separator=";")
    return path


@pytest.fixture(scope="module")
def proposed(table: Path) -> tuple[str, str]:
    """The section, and what was said on stderr."""
    result = CliRunner().invoke(cli, ["profile", str(table), "--html", str(table.parent / "page.html")])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_section_says_what_to_do_and_why(proposed: tuple[str, str]) -> None:
    section, _ = proposed
    prepare = yaml.safe_load(section)["prepare"]
    columns = {column["name"]: column for column in prepare["columns"]}
    assert prepare["target"] == "label"
    assert columns["row_no"] == {"name": "row_no", "type": "ignore"}
    assert columns["price"] == {"name": "price", "type": "numeric"}
    assert columns["length"] == {"name": "length", "outliers": "clip"}
    assert columns["day"] == {"name": "day", "type": "datetime", "dateFormats": ["%d.%m.%Y"]}
    assert columns["member"]["type"] == "boolean"
    assert columns["note"]["type"] == columns["always"]["type"] == "ignore"
    assert "-999" in prepare["missing"]["words"]
    assert prepare["duplicates"] == "drop"
    assert prepare["split"] == {"strategy": "stratified"}
    for line in (
        "{name: price, type: numeric}  # decimal comma; thousands grouped by '.'; unit '€'",
        '"-999"]}  # numbers that stand for a missing value (age: -999)',
        "duplicates: drop  # 3 rows repeat an earlier one",
        "# - {name: code, type: ignore}  # tells 'label' alone",
        "city: 'Nuremburg' (1 rows) may be 'Nuremberg'",
        "230 rows are 'good', 13 are 'bad'",
    ):
        assert line in section
    assert "\u202d" not in section


def test_the_section_is_accepted_in_a_training_run(proposed: tuple[str, str]) -> None:
    run = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "shop"},
        "spec": {
            "data": {"sources": [{"path": "shop.csv"}]},
            "train": {"task": "tabular-classification"},
            **yaml.safe_load(proposed[0]),
        },
    }
    assert load_object(run).spec.prepare.split.strategy == "stratified"


def test_the_terminal_has_a_line_a_column(proposed: tuple[str, str]) -> None:
    lines = proposed[1].splitlines()
    assert lines[0] == "243 rows, 11 columns, 3 repeated rows"
    assert any(line.split()[:2] == ["price", "numeric"] for line in lines)


def test_the_page_stands_alone(proposed: tuple[str, str], table: Path) -> None:
    page = (table.parent / "page.html").read_text()
    assert "<svg" in page
    assert "may be &#39;Nuremberg&#39;" in page
    assert "<script" not in page
    assert 'src="' not in page


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.txt").write_text("some words")
    with pytest.raises(StageError, match="these are text, not a table") as caught:
        command.callback(str(tmp_path), None, None, None, False)  # type: ignore[misc]
    assert "runwright init" in caught.value.cure


def test_a_file_that_is_there_is_kept(table: Path) -> None:
    with pytest.raises(StageError, match="there already"):
        command.callback(str(table), None, None, table, False)  # type: ignore[misc]


def test_a_target_that_is_not_there(table: Path) -> None:
    with pytest.raises(StageError, match="no column 'Label'") as caught:
        command.callback(str(table), "Label", None, None, False)  # type: ignore[misc]
    assert "did you mean 'label'" in caught.value.cure


def test_personal_data_are_told_of_and_shown_nowhere(tmp_path: Path) -> None:
    rows = range(60)
    frame = pl.DataFrame(
        {
            "contact": [f"ann{i % 6}@example.com" for i in rows],
            "x": list(rows),
            "label": [("a", "b")[i % 2] for i in rows],
        }
    )
    path = tmp_path / "people.csv"
    frame.write_csv(path)
    result = CliRunner().invoke(cli, ["profile", str(path), "--html", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert "# pii: {action: mask}  # data about persons in contact" in result.stdout
    assert "email in 100.0% of its values, such as a***@*******.***" in result.stderr
    assert "6 distinct" in result.stderr
    for shown in (result.stdout, result.stderr, (tmp_path / "page.html").read_text()):
        assert "@example" not in shown
