"""Files as they should not be, and what is said of each: where, and how to mend it."""

import datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runwright_components.collect import collect, limits
from runwright_components.contract.config import CsvOptions
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress


def test_ten_thousand_columns(workplace):
    """Polars pushes a predicate over n columns down in n^3 steps, which once took hours here."""
    names = [f"c{number}" for number in range(10_000)]
    workplace.write({"a.csv": ",".join(names) + "\n" + ("1," * 9_999 + "2\n") * 3 + "," * 9_999 + "\n"})
    manifest = workplace.collect("a.csv")
    assert list(manifest.columns) == names
    assert manifest.rows == 3


def test_a_long_record_of_csv(workplace, monkeypatch):
    monkeypatch.setattr(limits, "MAX_RECORD", 2 << 20)
    long = "x" * (5 << 20)
    workplace.write({"a.csv": f"a,b\n1,2\n3,{long}\n", "b.csv": f'a,b\n1,2\n3,4\n5,"{long}\n"\n'})
    error = workplace.refusal("a.csv")
    assert "a record of more than 2,097,152 bytes" in error.message
    assert error.where.endswith("a.csv, line 3")
    assert "quote" in error.cure
    assert workplace.refusal("b.csv").where.endswith("b.csv, line 4")


def test_a_long_record_is_found_before_the_rows_are_read(workplace, monkeypatch):
    """Polars would hold all of it in memory: a quote that is never closed makes one field of the rest of a file."""
    monkeypatch.setattr(limits, "MAX_RECORD", 2 << 20)
    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", lambda *_, **__: pytest.fail("rows were read"))
    workplace.write({"a.csv": 'a,b\n1,"2\n' + "3,4\n" * (1 << 20)})
    error = workplace.refusal("a.csv")
    assert "a record of more than 2,097,152 bytes" in error.message
    assert error.where.endswith("a.csv, line 2")


def test_a_long_object(workplace, monkeypatch):
    monkeypatch.setattr(limits, "MAX_RECORD", 2 << 20)
    workplace.write({"a.jsonl": '{"a":"x"}\n{"a":"' + "x" * (5 << 20) + '"}\n'})
    error = workplace.refusal("a.jsonl")
    assert "an object of more than 2,097,152 bytes" in error.message
    assert error.where.endswith("a.jsonl, line 2")


def test_columns_of_one_name_in_parquet(workplace):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), workplace.sources / "a.parquet")
    error = workplace.refusal("a.parquet")
    assert "'a' has more than one" in error.message
    assert error.cure == "give each column a name of its own"


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_dates_beyond_the_calendar(workplace, name):
    """The years 0 and 10000, which Python does not know, go through."""
    days = pl.Series("day", [-719_528, 2_932_897, 0], dtype=pl.Int32).cast(pl.Date)
    write = {"a.parquet": pl.DataFrame.write_parquet, "a.arrow": pl.DataFrame.write_ipc}[name]
    write(pl.DataFrame({"day": days, "at": days.cast(pl.Datetime("ms"))}), workplace.sources / name)
    manifest = workplace.collect(name)
    assert pl.read_parquet(workplace.out / manifest.files[0])["day"].equals(days)


def test_dates_in_words_stay_words(workplace):
    workplace.write({"a.csv": "day\n0000-01-01\n9999-12-31\n+10000-01-01\n"})
    rows = workplace.rows(workplace.collect("a.csv"))
    assert [row["day"] for row in rows] == ["0000-01-01", "9999-12-31", "+10000-01-01"]


def test_whole_numbers_beyond_64_bits(workplace):
    workplace.write(
        {"a.csv": "a\n123456789012345678901234567890\n", "b.json": '[{"a": 123456789012345678901234567890}]'}
    )
    pq.write_table(pa.table({"a": pa.array([2**64 - 1], pa.uint64())}), workplace.sources / "c.parquet")
    kinds = {}
    for name in ("a.csv", "b.json", "c.parquet"):
        workplace.out = workplace.out.with_name(name)
        manifest = workplace.collect(name)
        kinds[name] = (manifest.columns["a"], str(workplace.rows(manifest)[0]["a"]))
    many = "123456789012345678901234567890"
    assert kinds == {"a.csv": ("String", many), "b.json": ("String", many), "c.parquet": ("UInt64", str(2**64 - 1))}


def test_names_of_other_scripts(workplace):
    workplace.write({"قائمة 🦜.csv": "😀,שלום,الاسم\n1,2,3\n"})
    assert list(workplace.collect("قائمة 🦜.csv").columns) == ["😀", "שלום", "الاسم"]


def test_encodings_that_are_mixed(workplace):
    """In one file there is none that is right; in several the one that differs is named."""
    workplace.write(
        {"a.csv": "a\né\n".encode() + "ü\n".encode("latin-1"), "x/1.csv": "a\né\n", "x/2.csv": b"a\n\xe9\n"}
    )
    error = workplace.refusal("a.csv")
    assert error.where.endswith("a.csv, line 3")
    assert "csv.encoding" in error.cure
    assert workplace.refusal("x").where.endswith("2.csv, line 2")
    assert "are not utf-16" in workplace.refusal("a.csv", csv=CsvOptions(encoding="utf-16")).message


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.arrow"])
def test_a_file_that_changes_while_it_is_read(workplace, name):
    frame = pl.DataFrame({"a": [1, 2], "at": [datetime.datetime(2026, 1, 1)] * 2})
    write = {"csv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet", "arrow": "write_ipc"}
    path = workplace.sources / name
    getattr(frame, write[name.removeprefix("a.")])(path)

    def change(event):
        if event.kind == "progress":
            path.touch()

    with pytest.raises(StageError) as caught:
        collect(workplace.config(name), out=workplace.out, progress=Progress("collect", change))
    assert caught.value.reason is Reason.DATA_UNREADABLE
    assert caught.value.message == "the file changed while it was read"
    assert caught.value.where.endswith(name)
    assert "a copy" in caught.value.cure
    assert not workplace.out.exists()
