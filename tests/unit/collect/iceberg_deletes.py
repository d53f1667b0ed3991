"""Rows marked as deleted beside the files that hold them ("merge on read"), as Spark and Flink write; pyiceberg cannot,
so the delete file, its manifest and the snapshot are put together here as Iceberg's specification (v2) says."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate
from pyiceberg.typedef import Record


class _DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def delete_positions(table: Table, positions: list[int]) -> None:
    """A new snapshot in which these rows of the table's first data file are deleted."""
    place = next(iter(table.scan().plan_files())).file.file_path
    _commit(table, {"file_path": [place] * len(positions), "pos": positions}, DataFileContent.POSITION_DELETES)


def delete_equal(table: Table, column: str, values: list[int]) -> None:
    """A new snapshot in which the rows that have one of the values are deleted."""
    numbers = [table.schema().find_field(column).field_id]
    _commit(table, {column: values}, DataFileContent.EQUALITY_DELETES, equality_ids=numbers)


def _commit(table: Table, rows: dict[str, list[Any]], content: DataFileContent, **more: Any) -> None:
    current = table.current_snapshot()
    assert current is not None
    number, sequence = table.metadata.new_snapshot_id(), table.metadata.next_sequence_number()
    place = f"{table.location()}/data/deletes-{number}.parquet"
    pq.write_table(pa.table(rows), place.removeprefix("file://"))
    size = table.io.new_input(place)
    file = DataFile.from_args(
        content=content,
        file_path=place,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(next(iter(rows.values()))),
        file_size_in_bytes=len(size),
        **more,
    )
    entry = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=number, data_file=file)
    output = table.io.new_output(f"{table.location()}/metadata/deletes-{number}.avro")
    with _DeletesWriter(table.spec(), table.schema(), output, number, "gzip") as writer:
        writer.add_entry(entry)
    listed = f"{table.location()}/metadata/snap-{number}.avro"
    with write_manifest_list(
        2, table.io.new_output(listed), number, current.snapshot_id, sequence, "gzip"
    ) as manifests:
        manifests.add_manifests([writer.to_manifest_file(), *current.manifests(table.io)])
    snapshot = Snapshot(
        snapshot_id=number,
        parent_snapshot_id=current.snapshot_id,
        sequence_number=sequence,
        timestamp_ms=int(time.time() * 1000),
        manifest_list=listed,
        summary=Summary(Operation.DELETE),
        schema_id=table.schema().schema_id,
    )
    changes = (
        AddSnapshotUpdate(snapshot=snapshot),
        SetSnapshotRefUpdate(ref_name="main", type=SnapshotRefType.BRANCH, snapshot_id=number),
    )
    with table.transaction() as transaction:
        transaction._apply(changes)
