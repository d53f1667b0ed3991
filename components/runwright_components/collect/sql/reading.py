"""What a SQL source gives: its rows as Parquet files, and the signs of their change."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import polars as pl

from runwright_components.collect.files import SourceFile
from runwright_components.collect.read_before import Mark
from runwright_components.collect.sql import statements
from runwright_components.collect.sql.addresses import address_of, secrets_of, without
from runwright_components.collect.sql.cursor import highest, mark_of, none_of, up_to, went_back
from runwright_components.collect.sql.database import Database, Driver, Fault, Place, RowsError
from runwright_components.collect.sql.parquet import write_rows
from runwright_components.collect.transfer import Sign
from runwright_components.contract.config import Source
from runwright_components.contract.config.sql import SqlConfig
from runwright_components.contract.databases import address_variable
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.reading import not_found, reading

_MODULES = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite_file", "duckdb": "duckdb_file"}
_AGAIN_SECONDS = 0.2
_REASONS = {
    Fault.ADDRESS: (
        Reason.INVALID_CONFIG,
        "mend it in {place}; options stand behind a question mark: ?sslmode=require",
    ),
    Fault.AWAY: (Reason.SOURCE_UNAVAILABLE, "see whether it runs and answers to this machine; {place} says where"),
    Fault.DENIED: (Reason.SOURCE_DENIED, "check user and password in {place}, and grant that user SELECT"),
    Fault.MISSING: (
        Reason.SOURCE_NOT_FOUND,
        "write it as the database does, upper and lower case too, with its schema: SCHEMA.TABLE; {place} names the"
        " database",
    ),
    Fault.WRITES: (Reason.INVALID_CONFIG, "give a SELECT that changes nothing"),
    Fault.STATEMENT: (Reason.INVALID_CONFIG, "try the statement in the database's own client, and mend it here"),
    Fault.REPEATED: (Reason.INVALID_CONFIG, "name each column once in sql.query: SELECT a.id, b.id AS other_id"),
    Fault.VALUE: (
        Reason.DATA_INVALID,
        "give it another value or type in sql.query: NULLIF(column, value), CAST(column AS type)",
    ),
    Fault.FILE: (Reason.DATA_UNREADABLE, "check that {place} is a whole database of this dialect, and may be read"),
}


@dataclass(frozen=True, slots=True)
class _Opening:
    """What is needed to connect, and the words for what goes wrong. `named` may be shown, `secrets` may not."""

    source: str
    driver: Driver
    place: Place
    named: str
    secrets: list[str]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn an error of the database into a StageError without secrets."""
        try:
            yield
        except RowsError as error:
            raise self._error(error.fault, str(error)) from None
        except self.driver.errors as error:
            raise self._error(*self.driver.meaning(error)) from None  # the error itself may hold the address

    @contextmanager
    def connected(self) -> Iterator[Database]:
        """A connection, for as long as it is needed."""
        with self.told():
            database = self.driver.connect(self.place)
        with closing(database):
            yield database

    def _error(self, fault: Fault, words: str) -> StageError:
        reason, cure = _REASONS[fault]
        message = without(f"{fault.value}: {words}", self.secrets)
        return StageError(reason, message, where=self.source, cure=cure.format(place=self.named))


def sql_files(
    source: Source, base: str, *, scratch: Callable[[], Path], limit: int | None, progress: Progress
) -> list[SourceFile]:
    """The rows as Parquet files in `scratch`, one a part, in the order of the parts; at most `limit` rows of each.

    With a limit there is one part. Raises StageError.
    """
    config = _config(source)
    select = statements.select(config, source.name)
    spilling = scratch()
    spilling.mkdir()
    opening = _opening(source, config, base, spilling)
    with opening.connected() as first:
        files, rows = _read_parts(opening, first, select, config, scratch, limit, progress)
    if rows == 0:
        raise _no_rows(source)
    return files


def sql_signs(source: Source, base: str) -> list[Sign]:
    """The watermark and the number of rows; else size and time of a file, and of a server something new each time. Of
    an incremental source the cursor's greatest value and the columns."""
    config = _config(source)
    if source.incremental is not None:
        return [_incremental_sign(source, config, base)]
    if config.watermark is None:
        return _file_signs(source, config, base) if config.path is not None else [(uuid.uuid4().hex,)]
    select = statements.watermark(statements.select(config, source.name), config.watermark, config.dialect)
    with tempfile.TemporaryDirectory(prefix="runwright-sql-") as spilling:
        opening = _opening(source, config, base, Path(spilling))
        with opening.told(), closing(opening.driver.connect(opening.place)) as database:
            high, number = database.rows(select).first()
    return [(str(high), int(number))]


def _no_rows(source: Source) -> StageError:
    return StageError(
        Reason.DATA_INVALID,
        "the result has no rows",
        where=source.name,
        cure="check the conditions of sql.query, and that this user may see the rows",
    )


@dataclass(frozen=True, slots=True)
class Since:
    """The rows beyond a mark. `replaced`: that mark does not hold any more, and all rows were read."""

    files: list[SourceFile]
    mark: Mark
    replaced: bool


def sql_since(
    source: Source, base: str, before: Mark | None, *, scratch: Callable[[], Path], progress: Progress
) -> Since:
    """The rows whose cursor is beyond `before`, all by default, as Parquet files; none where nothing came.

    Raises StageError, also for rows without a value of the cursor: they would never be seen as new.
    """
    config = _config(source)
    cursor = _cursor(source)
    select = statements.select(config, source.name)
    spilling = scratch()
    spilling.mkdir()
    opening = _opening(source, config, base, spilling)
    with opening.connected() as first:
        with opening.told():
            high = _highest(first, select, cursor, config)
            if high is None:
                raise _no_rows(source)
            replaced = before is not None and went_back(before, high)
            select = up_to(select, cursor, None if replaced else before, high, config.dialect)
        files, _ = _read_parts(opening, first, select, config, scratch, None, progress)
    for file in files:
        _refuse_nulls(file.path, cursor, source)
    return Since(files, high, replaced)


def _highest(database: Database, select: str, cursor: str, config: SqlConfig) -> Mark | None:
    """The cursor's greatest value; None where there is no row."""
    try:
        (value,) = database.rows(highest(select, cursor, config.dialect)).first()
    except (ValueError, OverflowError):
        raise RowsError(Fault.VALUE, f"column {cursor!r}, the cursor, holds a date of infinity") from None
    return None if value is None else mark_of(value, cursor, config.dialect)


def _refuse_nulls(file: Path, cursor: str, source: Source) -> None:
    without = pl.scan_parquet(file, glob=False).select(pl.col(cursor).null_count()).collect().item()
    if without:
        raise StageError(
            Reason.DATA_INVALID,
            f"{without} row(s) have no value of the cursor {cursor!r}, and would never be seen as new",
            where=f"{source.name}, incremental.cursor",
            cure="leave them out by sql.query, or name a column that every row has",
        )


def _incremental_sign(source: Source, config: SqlConfig, base: str) -> Sign:
    select = statements.select(config, source.name)
    with tempfile.TemporaryDirectory(prefix="runwright-sql-") as spilling:
        opening = _opening(source, config, base, Path(spilling))
        with opening.told(), closing(opening.driver.connect(opening.place)) as database:
            mark = _highest(database, select, _cursor(source), config)
            schema = database.rows(none_of(select)).schema
    return (mark.value if mark else "", str(schema))


def _cursor(source: Source) -> str:
    if source.incremental is None or source.incremental.cursor is None:
        raise StageError(
            Reason.INVALID_CONFIG,
            "nothing tells new rows of the database from old ones",
            where=f"{source.name}, incremental",
            cure="name in incremental.cursor a column that only grows, such as a number that the database gives",
        )
    return source.incremental.cursor


def _what(config: SqlConfig) -> str:
    """What is read, for messages."""
    return f"{config.dialect} {config.table or 'query'}"


def _config(source: Source) -> SqlConfig:
    if source.sql is None:
        raise StageError(
            Reason.INVALID_CONFIG,
            "nothing says what is read of the database",
            where=source.name,
            cure="give the source under sql, with a dialect and a query or a table",
        )
    return source.sql


def _opening(source: Source, config: SqlConfig, base: str, spilling: Path) -> _Opening:
    driver: Driver = import_module(f"{__package__}.{_MODULES[config.dialect]}").DRIVER
    if config.path is not None:
        file = Path(base, config.path)
        with reading(source.name):
            if not file.is_file():
                raise not_found(file, source.name)
        return _Opening(source.name, driver, Place(file=file, scratch=spilling), config.path, [])
    url = address_of(source.name, config.dialect, os.environ)
    variable = address_variable(source.name)
    return _Opening(source.name, driver, Place(address=url), variable, secrets_of(os.environ[variable].strip()))


def _file_signs(source: Source, config: SqlConfig, base: str) -> list[Sign]:
    file = Path(base, config.path or "")
    with reading(source.name):
        found = [one for one in (file, file.with_name(f"{file.name}-wal")) if one == file or one.exists()]
        return [(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in found]


def _parts(database: Database, select: str, config: SqlConfig, source: str) -> list[str]:
    if config.partition is None:
        return [select]
    column, number = config.partition.column, config.partition.parts
    try:
        low, high = database.rows(statements.bounds(select, column, config.dialect)).first()
        return statements.parts(select, column, low, high, number, config.dialect)
    except (ValueError, OverflowError) as error:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"column {column!r} holds neither finite numbers nor dates ({error})",
            where=f"{source}, sql.partition.column",
            cure="name a column of numbers or dates, best with an index, or remove sql.partition",
        ) from None


def _read_parts(
    opening: _Opening,
    first: Database,
    select: str,
    config: SqlConfig,
    scratch: Callable[[], Path],
    limit: int | None,
    progress: Progress,
) -> tuple[list[SourceFile], int]:
    """The rows of a SELECT as Parquet files, one a part, each part over a connection that shares the first one's
    snapshot; and their number. With a limit there is one part."""
    with ExitStack() as stack:
        with opening.told():
            selects = [select] if limit is not None else _parts(first, select, config, opening.source)
            databases = [first, *(stack.enter_context(closing(first.twin())) for _ in selects[1:])]
        targets = [scratch() for _ in selects]
        rows = _read_all(opening, databases, selects, targets, limit, progress)
    files = [SourceFile(f"part-{index:03}.parquet", target, _what(config)) for index, target in enumerate(targets)]
    return files, rows


def _read_all(
    opening: _Opening,
    databases: list[Database],
    selects: list[str],
    targets: list[Path],
    limit: int | None,
    progress: Progress,
) -> int:
    """Read side by side; the first that fails, or a request to stop, ends all."""
    counted = _Counted(progress, opening.source)

    def read(database: Database, select: str, target: Path) -> int:
        with opening.told():
            return write_rows(database.rows(select), target, limit=limit, on_rows=counted.add)

    with ThreadPoolExecutor(len(selects)) as pool:
        jobs = [pool.submit(read, *work) for work in zip(databases, selects, targets, strict=True)]
        try:
            return sum(job.result() for job in as_completed(jobs))
        except BaseException:
            counted.stop()
            while wait(jobs, timeout=_AGAIN_SECONDS).not_done:  # a statement may begin just after it was cancelled
                for database in databases:
                    database.cancel()
            raise


class _Counted:
    """Counts rows from several threads into one progress, and stops whoever adds when it is told to."""

    def __init__(self, progress: Progress, source: str) -> None:
        self._progress, self._message = progress, f"read {source}"
        self._rows, self._stopped = 0, False
        self._lock = threading.Lock()

    def add(self, rows: int) -> None:
        with self._lock:
            if self._stopped:
                raise InterruptedError
            self._rows += rows
            self._progress.update(self._rows, unit="rows", message=self._message)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
