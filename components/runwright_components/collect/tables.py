"""Files of rows as lazy frames over one schema, written as one Parquet file by Polars' streaming engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import polars as pl

from runwright_components.collect.arrow_tables import repeated_name, scan_arrow, scan_orc
from runwright_components.collect.avro_tables import scan_avro
from runwright_components.collect.compressed import Expansion
from runwright_components.collect.csv_tables import CsvFile
from runwright_components.collect.excel_tables import scan_excel
from runwright_components.collect.files import SourceFile, bare_name
from runwright_components.collect.json_tables import scan_json
from runwright_components.contract.config import Format, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.reading import polars_disk_errors

OnBytes = Callable[[int], None]

_WIDE = (
    100  # columns; to push a predicate over n of them down to the scan takes Polars n^3 steps: minutes from 1,000 on
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one file, or of several that are one table. `check` gives the digest of each file, by its name, as it
    was at the source, and raises StageError for what Polars lets pass; it may run beside the reading, but for one that
    goes `ahead`: there it finds what would not fit into memory. `explain` says why Polars could not read it."""

    display: str
    frame: pl.LazyFrame
    check: Callable[[OnBytes], Mapping[str, str]]
    explain: Callable[[Exception], StageError]
    ahead: bool = False


def open_table(
    file: SourceFile,
    plain: Path,
    kind: Format,
    source: Source,
    *,
    limited: bool,
    scratch: Callable[[], Path],
    budget: Expansion,
) -> Table:
    """Open one file; `plain` is the same content uncompressed, `limited` says that not all rows will be read."""
    if kind == "csv":
        options = source.csv
        if options.delimiter is None and bare_name(file.name.lower()).endswith(".tsv"):
            options = options.model_copy(update={"delimiter": "\t"})
        return _csv_table(file, CsvFile.open(plain, options, display=file.display, scratch=scratch), limited)
    frame = _scan(file.display, plain, kind, source, scratch, budget)
    explain = _explain_parquet if kind == "parquet" else explain_broken
    return Table(
        file.display, frame, lambda on_bytes: {file.name: digest_of(file.path, on_bytes)}, explain(file.display)
    )


def _scan(
    display: str, path: Path, kind: Format, source: Source, scratch: Callable[[], Path], budget: Expansion
) -> pl.LazyFrame:
    match kind:
        case "parquet":
            return _scan_parquet(path, display)
        case "avro":
            return scan_avro(path, display=display, scratch=scratch, budget=budget)
        case "arrow":
            return scan_arrow(path, display=display, scratch=scratch)
        case "orc":
            return scan_orc(path, display=display, scratch=scratch)
        case "excel":
            return scan_excel(path, source.excel, display=display, scratch=scratch, budget=budget)
        case _:
            return scan_json(path, display=display, scratch=scratch)


def _csv_table(file: SourceFile, csv: CsvFile, limited: bool) -> Table:
    def check(on_bytes: OnBytes) -> Mapping[str, str]:
        counts = csv.survey(on_bytes)
        csv.check(counts, exact=limited)
        return {file.name: counts.digest if csv.path == file.path else digest_of(file.path, lambda _size: None)}

    return Table(file.display, csv.scan(), check, csv.explain, ahead=True)


def _scan_parquet(path: Path, display: str) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        frame.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise _explain_parquet(display)(error) from error
    return frame


def _explain_parquet(display: str) -> Callable[[Exception], StageError]:
    def explain(error: Exception) -> StageError:
        if isinstance(error, pl.exceptions.DuplicateError):
            return repeated_name(str(error).splitlines()[0], display)
        return StageError(
            Reason.DATA_UNREADABLE,
            f"not a whole Parquet file: {str(error).splitlines()[0]}",
            where=display,
            cure="the file is truncated or corrupt; copy or write it again",
        )

    return explain


def explain_broken(display: str) -> Callable[[Exception], StageError]:
    """What a table says that Polars cannot read, where nothing better is known."""
    return lambda error: StageError(
        Reason.DATA_UNREADABLE, str(error).splitlines()[0], where=display, cure="check the file in an editor"
    )


def digest_of(path: Path, on_bytes: OnBytes) -> str:
    """`sha256:HEX` of a file."""
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
) -> tuple[int, dict[str, str]]:
    """Write the tables one after the other to `target`; gives the number of rows and each file's digest.

    The files are read twice: by Polars for the rows, and for digests and checks, which a thread does meanwhile unless
    they go ahead.
    """
    frame = pl.concat([table.frame.select(_cast(table.frame, schema)) for table in tables])
    frame = frame if limit is None else frame.head(limit)
    stop = threading.Event()

    def watched(size: int) -> None:
        if stop.is_set():
            raise InterruptedError
        on_bytes(size)

    def check(*, ahead: bool) -> dict[str, str]:
        return {
            name: digest for table in tables if table.ahead == ahead for name, digest in table.check(watched).items()
        }

    digests = check(ahead=True)
    with ThreadPoolExecutor(1) as pool:
        checks: Future[dict[str, str]] = pool.submit(check, ahead=False)
        try:
            with polars_disk_errors(target):
                frame.sink_parquet(
                    target, statistics=False, compression_level=1, optimizations=_optimizations(len(schema))
                )
        except pl.exceptions.PolarsError as error:
            stop.set()
            raise _culprit(tables, error) from error
        except BaseException:
            stop.set()
            raise
        digests |= checks.result()
    rows = int(pl.scan_parquet(target, glob=False).select(pl.len()).collect().item())
    if rows == 0:
        raise StageError(
            Reason.DATA_INVALID,
            "there is no row, only a header",
            where=tables[0].display if len(tables) == 1 else source.name,
            cure="check that the source was exported with its rows",
        )
    return rows, digests


def _optimizations(columns: int) -> pl.QueryOptFlags:
    return pl.QueryOptFlags(predicate_pushdown=columns <= _WIDE)


def _cast(frame: pl.LazyFrame, schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    own = frame.collect_schema()
    return [pl.col(name) if own[name] == kind else pl.col(name).cast(kind) for name, kind in schema.items()]


def _culprit(tables: Sequence[Table], error: Exception) -> StageError:
    """The explanation of the first table that cannot be read by itself."""
    for table in tables:
        try:
            width = len(table.frame.collect_schema())
            counts = table.frame.select(pl.all().null_count())
            counts.collect(engine="streaming", optimizations=_optimizations(width))
        except pl.exceptions.PolarsError as own:
            return table.explain(own)
    return tables[0].explain(error)
