"""Files of rows as lazy frames over one schema, written as one Parquet file by Polars' streaming engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import polars as pl

from runwright_components.collect.csv_tables import CsvFile
from runwright_components.collect.files import SourceFile
from runwright_components.collect.json_tables import scan_json
from runwright_components.contract.config import CsvOptions, Format, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.reading import polars_disk_errors

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Table:
    """One file of rows. `check` gives the digest of the file as it was at the source, and raises StageError for what
    Polars lets pass; `explain` says why Polars could not read it. Both may run beside the reading."""

    display: str
    frame: pl.LazyFrame
    check: Callable[[OnBytes], str]
    explain: Callable[[Exception], StageError]


def open_table(
    file: SourceFile, plain: Path, kind: Format, options: CsvOptions, *, limited: bool, scratch: Callable[[], Path]
) -> Table:
    """Open one file; `plain` is the same content uncompressed, `limited` says that not all rows will be read."""

    def digest(on_bytes: OnBytes) -> str:
        return _digest(file.path, on_bytes)

    if kind == "csv":
        if options.delimiter is None and file.name.lower().removesuffix(".gz").endswith(".tsv"):
            options = options.model_copy(update={"delimiter": "\t"})
        return _csv_table(file, CsvFile.open(plain, options, display=file.display, scratch=scratch), limited)
    if kind == "parquet":
        return Table(file.display, _scan_parquet(plain, file.display), digest, _explain_parquet(file.display))
    frame = scan_json(plain, display=file.display, scratch=scratch)
    return Table(file.display, frame, digest, _explain_other(file.display))


def _csv_table(file: SourceFile, csv: CsvFile, limited: bool) -> Table:
    def check(on_bytes: OnBytes) -> str:
        counts = csv.survey(on_bytes)
        csv.check(counts, exact=limited)
        return counts.digest if csv.path == file.path else _digest(file.path, lambda _size: None)

    return Table(file.display, csv.scan(), check, csv.explain)


def _scan_parquet(path: Path, display: str) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        frame.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise _explain_parquet(display)(error) from error
    return frame


def _explain_parquet(display: str) -> Callable[[Exception], StageError]:
    def explain(error: Exception) -> StageError:
        return StageError(
            Reason.DATA_UNREADABLE,
            f"not a whole Parquet file: {str(error).splitlines()[0]}",
            where=display,
            cure="the file is truncated or corrupt; copy or write it again",
        )

    return explain


def _explain_other(display: str) -> Callable[[Exception], StageError]:
    return lambda error: StageError(
        Reason.DATA_UNREADABLE, str(error).splitlines()[0], where=display, cure="check the file in an editor"
    )


def _digest(path: Path, on_bytes: OnBytes) -> str:
    digest = sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            on_bytes(len(chunk))
    return "sha256:" + digest.hexdigest()


# ---------------------------------------------------------------- one schema


def common_schema(schemas: Sequence[tuple[str, Mapping[str, pl.DataType]]]) -> dict[str, pl.DataType]:
    """The columns of the first (place, schema), each with a type that holds all; other columns are an error.

    Numbers of several types become the wider one; anything else that differs becomes strings.
    """
    place, first = schemas[0]
    common = dict(first)
    for other, schema in schemas[1:]:
        missing = [name for name in common if name not in schema]
        extra = [name for name in schema if name not in common]
        if missing or extra:
            raise StageError(
                Reason.DATA_INVALID,
                f"the columns differ from those of {place}: {_difference(missing, extra)}",
                where=other,
                cure="give all files and sources the same columns, or make them sources of different TrainingRuns",
            )
        for name, kind in schema.items():
            common[name] = _wider(common[name], kind)
    return common


def _difference(missing: list[str], extra: list[str]) -> str:
    parts = [
        f"{verb} {', '.join(map(repr, names[:10]))}{', ...' if len(names) > 10 else ''}"
        for verb, names in (("lacks", missing), ("adds", extra))
        if names
    ]
    return " and ".join(parts)


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other:
        return one
    if one.is_numeric() and other.is_numeric():
        frames = [pl.DataFrame(schema={"": kind}) for kind in (one, other)]
        return pl.concat(frames, how="vertical_relaxed").dtypes[0]
    return pl.String()


# ---------------------------------------------------------------- writing


def write_table(
    tables: Sequence[Table],
    schema: Mapping[str, pl.DataType],
    target: Path,
    *,
    source: Source,
    limit: int | None,
    on_bytes: OnBytes,
) -> tuple[int, list[str]]:
    """Write the tables one after the other to `target`; gives the number of rows and each file's digest.

    The files are read twice at the same time: by Polars for the rows, and by a thread for digests and checks.
    """
    frame = pl.concat([table.frame.select(_cast(table.frame, schema)) for table in tables])
    frame = frame if limit is None else frame.head(limit)
    stop = threading.Event()

    def watched(size: int) -> None:
        if stop.is_set():
            raise InterruptedError
        on_bytes(size)

    def check_all() -> list[str]:
        return [table.check(watched) for table in tables]

    with ThreadPoolExecutor(1) as pool:
        checks: Future[list[str]] = pool.submit(check_all)
        try:
            with polars_disk_errors(target):
                frame.sink_parquet(target, statistics=False)
        except pl.exceptions.PolarsError as error:
            stop.set()
            raise _culprit(tables, error) from error
        except BaseException:
            stop.set()
            raise
        digests = checks.result()
    rows = int(pl.scan_parquet(target, glob=False).select(pl.len()).collect().item())
    if rows == 0:
        raise StageError(
            Reason.DATA_INVALID,
            "there is no row, only a header",
            where=tables[0].display if len(tables) == 1 else source.name,
            cure="check that the source was exported with its rows",
        )
    return rows, digests


def _cast(frame: pl.LazyFrame, schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    own = frame.collect_schema()
    return [pl.col(name) if own[name] == kind else pl.col(name).cast(kind) for name, kind in schema.items()]


def _culprit(tables: Sequence[Table], error: Exception) -> StageError:
    """The explanation of the first table that cannot be read by itself."""
    for table in tables:
        try:
            table.frame.select(pl.all().null_count()).collect(engine="streaming")
        except pl.exceptions.PolarsError as own:
            return table.explain(own)
    return tables[0].explain(error)
