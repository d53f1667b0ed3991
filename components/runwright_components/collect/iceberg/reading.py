"""The rows of one snapshot of an Iceberg table, as one Parquet file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pydantic import ValidationError
from pyiceberg import exceptions
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import DataScan, StaticTable
from pyiceberg.table.snapshots import Snapshot
from pyparsing import ParseBaseException

from runwright_components.collect.batches import write_batches
from runwright_components.collect.files import SourceFile
from runwright_components.collect.iceberg.folder import METADATA, Folder, TableFiles, open_folder
from runwright_components.collect.transfer import Sign
from runwright_components.contract.config import IcebergConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress

_VERSION = re.compile(r"v?(\d+)[-.].*metadata\.json(\.gz)?")  # 00007-UUID.metadata.json of catalogs, v7.metadata.json

_DAMAGED = (  # what the readers of metadata, manifests (Avro, in C) and data fail with
    ValidationError,
    exceptions.ValidationError,
    exceptions.ResolveError,
    pa.ArrowException,
    SystemError,
    LookupError,
    ArithmeticError,
    TypeError,
)


def iceberg_files(
    source: Source,
    config: IcebergConfig,
    base: str,
    *,
    scratch: Callable[[], Path],
    limit: int | None,
    progress: Progress,
) -> list[SourceFile]:
    """The rows of the snapshot, deleted ones left out, with its columns; at most `limit`. Memory and scratch space are
    those of one data file. Raises StageError."""

    def tell(done: int) -> None:
        progress.update(done, unit="rows", message=f"read {source.name}")

    folder, named = open_folder(source, base, scratch)
    with _errors(folder.place):
        files, table = _open(folder, named)
        snapshot = _snapshot(table, config, folder.place)
        target = scratch()
        scan = _scan(table, config, snapshot, source.name)
        schema = schema_to_pyarrow(scan.projection(), include_field_ids=False)
        batches = pa.RecordBatchReader.from_batches(schema, _batches(scan, files, folder)).cast(schema)
        write_batches(target, schema, batches, limit, tell)
    shown = "no snapshot" if snapshot is None else f"snapshot {snapshot.snapshot_id}"
    return [SourceFile("table.parquet", target, f"{folder.place}, {shown}")]


def iceberg_signs(source: Source, config: IcebergConfig, base: str) -> list[Sign]:
    """The table's own id and the snapshot that is read."""
    with tempfile.TemporaryDirectory(prefix="runwright-iceberg-") as scratch:
        numbers = count()
        folder, named = open_folder(source, base, lambda: Path(scratch, f"{next(numbers)}"))
        with _errors(folder.place):
            _, table = _open(folder, named)
            snapshot = _snapshot(table, config, folder.place)
    return [(str(table.metadata.table_uuid), 0 if snapshot is None else snapshot.snapshot_id)]


def newest_metadata(names: list[str]) -> list[str]:
    """Of the files in a table's folder of metadata, those of the greatest version: one, but for broken commits."""
    found = [(int(match[1]), name) for name in names if (match := _VERSION.fullmatch(PurePosixPath(name).name))]
    greatest = max((version for version, _ in found), default=0)
    return [name for version, name in found if version == greatest]


def _open(folder: Folder, named: str | None) -> tuple[TableFiles, StaticTable]:
    if named is None:
        names = newest_metadata(folder.metadata())
        if not names:
            raise StageError(
                Reason.SOURCE_NOT_FOUND,
                f"no Iceberg table lies here: there is no {METADATA}/*.metadata.json",
                where=folder.place,
                cure=f"give the folder that holds {METADATA}, or remove `format: iceberg`",
            )
        if len(names) > 1:
            raise StageError(
                Reason.DATA_INVALID,
                f"two metadata files have the greatest version: {', '.join(names)}",
                where=folder.place,
                cure="give the one that the catalog names, as the source's path or address",
            )
        named = names[0]
    reading = TableFiles(folder, "")
    metadata = FromInputFile.table_metadata(reading.new_input(f"/{named}"))
    files = TableFiles(folder, metadata.location)
    return files, StaticTable(("table",), metadata, named, files, NoopCatalog("none"))


def _snapshot(table: StaticTable, config: IcebergConfig, place: str) -> Snapshot | None:
    """The one that is asked for; None for a table that has none yet."""
    if config.snapshot is not None:
        found = table.snapshot_by_id(int(config.snapshot))
        missing = f"the table has no snapshot {config.snapshot}"
    elif config.time is not None:
        found = table.snapshot_as_of_timestamp(round(datetime.fromisoformat(config.time).timestamp() * 1000))
        missing = f"the table had no snapshot at {config.time}"
    else:
        return table.current_snapshot()
    if found is None:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            missing,
            where=place,
            cure="give one of its history that has not expired, or none for the current one",
        )
    return found


def _scan(table: StaticTable, config: IcebergConfig, snapshot: Snapshot | None, source: str) -> DataScan:
    """What is read. Raises StageError for a filter or columns that do not fit the table."""
    try:
        wanted: BooleanExpression = AlwaysTrue() if config.filter is None else parse(config.filter)
        scan = table.scan(
            row_filter=wanted,
            selected_fields=config.columns or ("*",),
            snapshot_id=None if snapshot is None else snapshot.snapshot_id,
        )
        scan.projection()
        ArrowScan(table.metadata, table.io, scan.projection(), wanted)  # binds the filter
    except (ParseBaseException, ValueError, TypeError) as error:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the filter or the columns do not fit the table: {_first(error)}",
            where=f"{source}, iceberg",
            cure=f"its columns are {', '.join(table.schema().column_names[:20])}; a filter is written as in SQL:"
            " price > 10 and country in ('DE', 'FR')",
        ) from error
    return scan


def _batches(scan: DataScan, files: TableFiles, folder: Folder) -> Iterator[pa.RecordBatch]:
    """File after file: pyiceberg would hold the rows of all files at once."""
    for task in scan.plan_files():
        reading = ArrowScan(scan.table_metadata, files, scan.projection(), scan.row_filter)
        yield from reading.to_record_batches([task])
        folder.forget(files.name(task.file.file_path))


@contextmanager
def _errors(place: str) -> Iterator[None]:
    """What pyiceberg and Arrow raise, in words that a person can act on."""

    def error(reason: Reason, message: str, cure: str) -> StageError:
        return StageError(reason, message, where=place, cure=cure)

    damaged = "the table's files are damaged; restore the table, or copy it again"
    try:
        yield
    except FileNotFoundError as cause:
        cure = "its snapshot expired, or the file was never copied; read a newer snapshot, or restore the table"
        raise error(Reason.DATA_UNREADABLE, f"a file of the table is gone: {_first(cause)}", cure) from cause
    except PermissionError as cause:
        raise error(Reason.SOURCE_DENIED, _first(cause), "give this user the right to read it") from cause
    except NotImplementedError as cause:
        raise _beyond(place, cause) from cause
    except _DAMAGED as cause:
        raise error(Reason.DATA_UNREADABLE, _first(cause), damaged) from cause
    except (ValueError, EOFError) as cause:
        if "not yet support" in str(cause) or "not supported" in str(cause):
            raise _beyond(place, cause) from cause
        raise error(Reason.DATA_UNREADABLE, _first(cause), damaged) from cause


def _beyond(place: str, cause: Exception) -> StageError:
    return StageError(
        Reason.UNSUPPORTED,
        f"the table uses what cannot be read here: {_first(cause)}",
        where=place,
        cure="rewrite its data files with the engine that made it (CALL system.rewrite_data_files), or write a copy",
    )


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()
