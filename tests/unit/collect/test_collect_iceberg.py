"""Iceberg tables written by pyiceberg itself: appends, deletes, changed columns; in a folder, in S3 and in Azure."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import DoubleType

from runwright_components.collect import fingerprint
from runwright_components.collect.iceberg.reading import newest_metadata
from runwright_components.contract.config import IcebergConfig
from runwright_components.contract.outcome import Reason
from tests.emulators.azurite import azurite
from tests.machine import unable
from tests.unit.collect.iceberg_deletes import delete_equal, delete_positions

FIRST = [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
NEWEST = [(1, "a", None), (2, "b", None), (4, "d", None), (5, "e", 1.5)]


class Lake:
    """A catalog of its own, and one table with a history: rows, a delete, a column renamed and one more."""

    def __init__(self, root: Path) -> None:
        catalog = SqlCatalog("test", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}/warehouse")
        catalog.create_namespace("lake")
        first = pa.table({"id": pa.array([1, 2, 3, 4], pa.int64()), "old": ["a", "b", "c", "d"]})
        self.table = catalog.create_table("lake.table", schema=first.schema)
        self.table.append(first)
        self.table.delete("id = 3")
        with self.table.update_schema() as change:
            change.rename_column("old", "x")
            change.add_column("y", DoubleType())
        self.table.append(pa.table({"id": pa.array([5], pa.int64()), "x": ["e"], "y": [1.5]}))
        self.folder = Path(self.table.location().removeprefix("file://"))

    @property
    def snapshots(self) -> list[str]:
        return [str(entry.snapshot_id) for entry in self.table.history()]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return Lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def lake(written, workplace):
    """The table as it was written, and a copy of it among the sources: it lies elsewhere than it says."""
    shutil.copytree(written.folder, workplace.sources / "table")
    return written


def rows(workplace, uri="table", max_rows=None, place=None, **options):
    manifest = workplace.collect(uri, iceberg=IcebergConfig(**options), max_rows=max_rows, **place or {})
    return sorted(tuple(row.values()) for row in workplace.rows(manifest))


def refusal(workplace, uri="table", **options):
    return workplace.refusal(uri, iceberg=IcebergConfig(**options))


def test_deletes_and_changed_columns(workplace, lake):
    assert rows(workplace) == NEWEST


def test_where_it_was_written(workplace, lake):
    assert rows(workplace, f"file://{lake.folder}") == NEWEST


@pytest.mark.parametrize(("number", "expected"), [(0, FIRST), (-1, NEWEST)])
def test_a_snapshot(workplace, lake, number, expected):
    """With the columns that it had."""
    assert rows(workplace, snapshot=lake.snapshots[number]) == expected


def test_a_moment(workplace, lake):
    written = lake.table.history()[0].timestamp_ms
    at = datetime.fromtimestamp(written / 1000, UTC).isoformat(timespec="milliseconds")
    assert rows(workplace, time=at) == FIRST


@pytest.fixture
def marked(workplace):
    """A table whose deletes lie beside its data, and the folder that it was written to."""
    catalog = SqlCatalog("test", uri="sqlite://", warehouse=f"file://{workplace.sources}")
    catalog.create_namespace("lake")
    content = pa.table({"id": pa.array([1, 2, 3, 4], pa.int64())})
    table = catalog.create_table("lake.marked", schema=content.schema)
    table.append(content)
    return table


def test_rows_that_are_marked_as_deleted(workplace, marked):
    delete_positions(marked, [0, 2])
    assert rows(workplace, marked.location()) == [(2,), (4,)]


def test_deletes_by_value_are_refused(workplace, marked):
    """Read as if nothing were deleted, the table would give wrong rows."""
    delete_equal(marked, "id", [3])
    error = refusal(workplace, marked.location())
    assert error.reason is Reason.UNSUPPORTED
    assert "rewrite_data_files" in error.cure


def test_a_metadata_file(workplace, lake):
    name = sorted(path.name for path in (workplace.sources / "table/metadata").glob("*.metadata.json"))[1]
    assert rows(workplace, f"table/metadata/{name}") == FIRST


def test_columns_and_a_filter(workplace, lake):
    assert rows(workplace, columns=("y", "id"), filter="id > 1 and x in ('b', 'e')") == [(2, None), (5, 1.5)]


def test_no_more_rows_than_are_asked_for(workplace, lake):
    assert len(rows(workplace, max_rows=2)) == 2


def test_partitions_and_types(workplace):
    root = workplace.sources / "typed"
    root.mkdir()
    catalog = SqlCatalog("test", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
    catalog.create_namespace("lake")
    content = pa.table(
        {
            "day": pa.array([0, 1], pa.date32()),
            "n": pa.array([1, None], pa.int32()),
            "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
            "flag": [True, None],
        }
    )
    table = catalog.create_table("lake.typed", schema=content.schema)
    with table.update_spec() as change:
        change.add_identity("day")
    table.append(content)
    manifest = workplace.collect(table.location(), iceberg=IcebergConfig())
    assert manifest.columns["day"] == "Date"
    assert manifest.columns["n"] == "Int32"
    assert manifest.columns["flag"] == "Boolean"
    assert sorted(row["day"].isoformat() for row in workplace.rows(manifest)) == ["1970-01-01", "1970-01-02"]


def test_the_fingerprint_follows_the_snapshot(workplace, lake):
    newest = workplace.config("table", iceberg=IcebergConfig())
    pinned = workplace.config("table", iceberg=IcebergConfig(snapshot=lake.snapshots[0]))
    first, old = fingerprint(newest), fingerprint(pinned)
    assert fingerprint(newest) == first
    last = sorted((workplace.sources / "table/metadata").glob("*.metadata.json"))[-1]
    last.unlink()
    assert fingerprint(newest) != first
    assert fingerprint(pinned) == old


def test_a_table_in_s3(workplace, lake, object_storage):
    for path in filter(Path.is_file, lake.folder.rglob("*")):
        object_storage.put(f"deep/table/{path.relative_to(lake.folder)}", path.read_bytes())
    place = {"endpoint": object_storage.endpoint, "region": "us-east-1"}
    assert rows(workplace, f"{object_storage.uri}/deep/table/", place=place) == NEWEST
    workplace.out = workplace.out.parent.parent / "second" / "raw"
    error = workplace.refusal(f"{object_storage.uri}/deep/", iceberg=IcebergConfig(), **place)
    assert error.reason is Reason.SOURCE_NOT_FOUND


def test_a_table_in_azure(workplace, lake, tmp_path, monkeypatch):
    try:
        with azurite(tmp_path) as server:
            server.make_container("lake")
            for path in filter(Path.is_file, lake.folder.rglob("*")):
                obstore.put(server.container("lake"), f"table/{path.relative_to(lake.folder)}", path)
            monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.key)
            place = {"endpoint": server.endpoint, "account": server.account}
            assert rows(workplace, "az://lake/table", place=place) == NEWEST
    except RuntimeError as error:
        unable(str(error))


# ---------------------------------------------------------------- what goes wrong


def test_no_table(workplace):
    workplace.write({"plain/a.csv": "a\n1\n"})
    error = refusal(workplace, "plain")
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "there is no metadata/*.metadata.json" in error.message
    assert error.where == str(workplace.sources / "plain")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"snapshot": "7"}, "the table has no snapshot 7"),
        ({"time": "2001-01-01T00:00:00Z"}, "the table had no snapshot at 2001-01-01T00:00:00Z"),
    ],
)
def test_no_such_snapshot(workplace, lake, options, words):
    error = refusal(workplace, **options)
    assert (error.reason, error.message) == (Reason.SOURCE_NOT_FOUND, words)


@pytest.mark.parametrize(
    "options", [{"filter": "id >"}, {"filter": "z = 1"}, {"columns": ("z",)}, {"filter": "id = 'a'"}]
)
def test_a_filter_or_columns_that_do_not_fit(workplace, lake, options):
    error = refusal(workplace, **options)
    assert error.reason is Reason.INVALID_CONFIG
    assert "its columns are id, x, y" in error.cure


def test_a_data_file_that_is_gone(workplace, lake):
    for path in (workplace.sources / "table/data").rglob("*.parquet"):
        path.unlink()
    error = refusal(workplace)
    assert error.reason is Reason.DATA_UNREADABLE
    assert "a file of the table is gone" in error.message


@pytest.mark.parametrize("pattern", ["metadata/*.metadata.json", "metadata/*.avro", "data/**/*.parquet"])
def test_damaged_files(workplace, lake, pattern):
    for path in (workplace.sources / "table").glob(pattern):
        path.write_bytes(b"not what it was")
    assert refusal(workplace).reason is Reason.DATA_UNREADABLE


def test_two_newest_metadata_files(workplace, lake):
    last = sorted((workplace.sources / "table/metadata").glob("*.metadata.json"))[-1]
    shutil.copy(last, last.with_name(f"{last.name.partition('-')[0]}-other.metadata.json"))
    error = refusal(workplace)
    assert "give the one that the catalog names" in error.cure


def change_metadata(workplace, **fields):
    for path in (workplace.sources / "table/metadata").glob("*.metadata.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_settings_of_a_table_do_nothing(workplace, lake):
    """Metadata may name classes to load and servers to ask; whoever writes a table must not choose them."""
    change_metadata(workplace, properties={"py-io-impl": "no.such.Module", "s3.endpoint": "http://127.0.0.1:1"})
    assert rows(workplace) == NEWEST


@pytest.mark.parametrize("location", ["/etc", "s3://elsewhere/table"])
def test_files_outside_of_the_folder_are_not_read(workplace, lake, location):
    change_metadata(workplace, location=location)
    error = refusal(workplace)
    assert error.reason is Reason.UNSUPPORTED
    assert "outside of its folder" in error.message


def test_a_way_out_of_the_folder_is_not_taken(workplace, lake):
    change_metadata(workplace, location=str(lake.folder.parent / "other"))
    path = sorted((workplace.sources / "table/metadata").glob("*.metadata.json"))[-1]
    path.write_text(path.read_text().replace(f"{lake.folder}/metadata/snap", f"{lake.folder.parent}/other/../snap"))
    assert "outside of its folder" in refusal(workplace).message


def test_versions_of_metadata_are_numbers():
    names = [
        "metadata/v9.metadata.json",
        "metadata/v10.metadata.json",
        "metadata/version-hint.text",
        "metadata/10.avro",
    ]
    assert newest_metadata(names) == ["metadata/v10.metadata.json"]
    assert newest_metadata(["metadata/00002-a.metadata.json.gz", "metadata/00001-b.metadata.json"]) == [
        "metadata/00002-a.metadata.json.gz"
    ]
    assert newest_metadata([]) == []
