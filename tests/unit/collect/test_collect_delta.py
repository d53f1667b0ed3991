"""Delta Lake tables written by deltalake itself: updates, deletes, more columns; in a folder, in S3 and in Azure."""

import shutil
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from runwright_components.collect import fingerprint
from runwright_components.contract.config import DeltaConfig
from runwright_components.contract.outcome import Reason
from tests.emulators.azurite import azurite
from tests.emulators.gcs import SERVICE_ACCOUNT_KEY, fake_gcs_server
from tests.machine import unable

NEWEST = [(1, "a", None), (2, "B", None), (4, "d", None), (5, "e", 1.5)]


def write_history(uri, options=None):
    """Four versions: rows, an update, a delete, and rows with a column that the others lack."""
    write_deltalake(uri, pa.table({"id": [1, 2, 3, 4], "x": ["a", "b", "c", "d"]}), storage_options=options)
    table = DeltaTable(uri, storage_options=options)
    table.update(updates={"x": "'B'"}, predicate="id = 2")
    table.delete("id = 3")
    more = pa.table({"id": [5], "x": ["e"], "y": [1.5]})
    write_deltalake(uri, more, mode="append", schema_mode="merge", storage_options=options)


@pytest.fixture
def table(workplace):
    write_history(str(workplace.sources / "table"))
    return workplace.sources / "table"


def rows(workplace, uri, version=None, **options):
    manifest = workplace.collect(uri, delta=DeltaConfig(version=version), **options)
    return sorted(tuple(row.values()) for row in workplace.rows(manifest))


def refusal(workplace, uri, version=None, **options):
    return workplace.refusal(uri, delta=DeltaConfig(version=version), **options)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, NEWEST),
        (3, NEWEST),
        (2, [(1, "a"), (2, "B"), (4, "d")]),
        (1, [(1, "a"), (2, "B"), (3, "c"), (4, "d")]),
        (0, [(1, "a"), (2, "b"), (3, "c"), (4, "d")]),
    ],
)
def test_each_version_as_it_was(workplace, table, version, expected):
    assert rows(workplace, "table", version) == expected


def test_types_stay(workplace):
    uri = str(workplace.sources / "typed")
    write_deltalake(
        uri, pa.table({"n": pa.array([1, None], pa.int32()), "b": [True, None], "p": ["x", "y"]}), partition_by="p"
    )
    manifest = workplace.collect("typed", delta=DeltaConfig())
    assert manifest.columns == {"n": "Int32", "b": "Boolean", "p": "String"}
    assert manifest.rows == 2


def test_no_more_rows_than_are_asked_for(workplace, table):
    manifest = workplace.collect("table", delta=DeltaConfig(), max_rows=2)
    assert manifest.rows == 2


def test_the_fingerprint_follows_the_version(workplace, table):
    newest, pinned = (
        workplace.config("table", delta=DeltaConfig()),
        workplace.config("table", delta=DeltaConfig(version=1)),
    )
    first, old = fingerprint(newest), fingerprint(pinned)
    assert fingerprint(newest) == first
    DeltaTable(str(table)).delete("id = 1")
    assert fingerprint(newest) != first
    assert fingerprint(pinned) == old


def test_the_same_version_has_the_same_digest(workplace, table):
    first = workplace.collect("table", delta=DeltaConfig(version=3)).digest
    workplace.out = workplace.out.with_name("again")
    assert workplace.collect("table", delta=DeltaConfig(version=3)).digest == first


def test_no_table(workplace):
    workplace.write({"plain/a.csv": "a\n1\n"})
    error = refusal(workplace, "plain")
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "there is no _delta_log" in error.message
    assert error.where == str(workplace.sources / "plain")


def test_no_such_version(workplace, table):
    error = refusal(workplace, "table", 9)
    assert (error.reason, error.message) == (Reason.SOURCE_NOT_FOUND, "the table has no version 9")


def test_a_file_that_was_vacuumed_away(workplace, table):
    for path in table.glob("*.parquet"):
        path.unlink()
    error = refusal(workplace, "table", 1)
    assert error.reason is Reason.DATA_UNREADABLE
    assert "a file of version 1 is gone" in error.message


def test_a_damaged_log(workplace, table):
    (table / "_delta_log/00000000000000000001.json").write_text("{no json")
    error = refusal(workplace, "table")
    assert error.reason is Reason.DATA_UNREADABLE
    assert "log is damaged" in error.cure


def test_deletion_vectors_are_refused(workplace, table):
    """A table that marks deleted rows beside its files: read as if nothing were deleted, it would give wrong rows."""
    shutil.rmtree(table)
    write_deltalake(str(table), pa.table({"id": [1]}), configuration={"delta.enableDeletionVectors": "true"})
    error = refusal(workplace, "table")
    assert error.reason is Reason.UNSUPPORTED
    assert "REORG TABLE" in error.cure


def test_a_table_in_s3(workplace, object_storage):
    options = {"aws_endpoint": object_storage.endpoint, "allow_http": "true", "aws_region": "us-east-1"}
    options["aws_conditional_put"] = "etag"
    write_history(f"{object_storage.uri}/lake/table", options)
    given = {"endpoint": object_storage.endpoint, "region": "us-east-1"}
    assert rows(workplace, f"{object_storage.uri}/lake/table/", **given) == NEWEST
    workplace.out = workplace.out.parent.parent / "second" / "raw"
    error = refusal(workplace, f"{object_storage.uri}/lake/", **given)
    assert error.reason is Reason.SOURCE_NOT_FOUND


def test_a_table_in_azure(workplace, table, tmp_path, monkeypatch):
    try:
        with azurite(tmp_path) as server:
            server.make_container("lake")
            for path in filter(Path.is_file, table.rglob("*")):
                obstore.put(server.container("lake"), f"table/{path.relative_to(table)}", path)
            monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.key)
            assert rows(workplace, "az://lake/table", endpoint=server.endpoint, account=server.account) == NEWEST
    except RuntimeError as error:
        unable(str(error))


def test_a_table_in_googles_cloud(workplace, table, tmp_path, monkeypatch):
    try:
        with fake_gcs_server(tmp_path) as server:
            server.make_bucket("lake")
            for path in filter(Path.is_file, table.rglob("*")):
                server.put("lake", f"table/{path.relative_to(table)}", path.read_bytes())
            monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", SERVICE_ACCOUNT_KEY)
            assert rows(workplace, "gs://lake/table", endpoint=server.endpoint) == NEWEST
    except RuntimeError as error:
        unable(str(error))
