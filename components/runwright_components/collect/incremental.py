"""Opening a source of which only what is new is read: new files, or rows of a database beyond a cursor.

The rows that the revision before has read are taken from its Parquet file. A source whose settings changed, or of
which a file changed or is gone, is read whole again, and that is told with the reason. So the rows are always those of
a full read, in its order; of a database as long as rows are only added, with greater values of the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import polars as pl

from runwright_components.collect.archives import is_archive, unpacked
from runwright_components.collect.compressed import Expansion, uncompressed
from runwright_components.collect.files import SourceFile, choose_format, file_sign, of_format
from runwright_components.collect.opening import Opened, open_source
from runwright_components.collect.read_before import INCREMENTAL, Piece, ReadBefore, SourceRead
from runwright_components.collect.reading_on import Part, Reading, parts_before
from runwright_components.collect.sources import source_listing
from runwright_components.collect.tables import Table, open_table
from runwright_components.collect.transfer import Sign
from runwright_components.contract.config import CollectConfig, Format, Source
from runwright_components.contract.files import files_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.reading import reading

# What says how a source is reached, and decides no row.
_REACH = {"endpoint", "region", "account", "headers_env", "timeout_seconds", "reach"}


@dataclass(frozen=True, slots=True)
class _Former:
    """What the revision before has read of a source, and the Parquet file of its rows."""

    read: SourceRead
    rows: Path


class _AnewError(Exception):
    """All must be read again; the words say why."""


def open_incremental(
    source: Source, config: CollectConfig, scratch: Callable[[], Path], progress: Progress, former: Path | None
) -> Opened:
    """A source of which what is new is read; `former` is the raw data of the revision before, or what of it was kept.

    Raises StageError when the source cannot be found, reached or understood.
    """
    layout = _layout(source)
    opening = _open_rows if source.sql is not None else _open_files
    try:
        before = _former(source, layout, former)
        return opening(source, config, scratch, progress, layout, before)
    except _AnewError as why:
        progress.warning(f"{source.name}: all is read again: {why}")
        return opening(source, config, scratch, progress, layout, None)


def _layout(source: Source) -> str:
    settings = source.model_dump(mode="json", exclude=_REACH)
    if settings["sql"]:
        settings["sql"] = {
            key: value for key, value in settings["sql"].items() if key not in ("partition", "watermark")
        }
    return files_digest({"settings": str(settings), "version": version("runwright")})


def _former(source: Source, layout: str, folder: Path | None) -> _Former | None:
    """None where nothing was kept of this source. Raises _AnewError where it cannot be used."""
    if folder is None or not (folder / INCREMENTAL).is_file():
        return None
    try:
        known = ReadBefore.read(folder, INCREMENTAL).sources
    except StageError as error:
        raise _AnewError(error.message) from None
    read = next((one for one in known if one.source == source.name), None)
    if read is None:
        return None
    if read.layout != layout:
        raise _AnewError("its settings, or the version of Runwright, changed")
    rows = folder / read.file
    try:
        whole = pl.scan_parquet(rows, glob=False).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError):
        whole = None
    if whole != sum(piece.rows for piece in read.pieces):
        raise _AnewError("the rows that were kept are not whole")
    return _Former(read, rows)


# ---------------------------------------------------------------- files


def _open_files(
    source: Source,
    config: CollectConfig,
    scratch: Callable[[], Path],
    progress: Progress,
    layout: str,
    before: _Former | None,
) -> Opened:
    listing = source_listing(source, config.base, scratch=scratch, progress=progress)
    names = [str(sign[0]) for sign in listing.signs]
    if any(map(is_archive, names)):
        return _whole(source, config, scratch, progress)
    kind = choose_format(source, names)
    if kind in ("images", "text"):
        raise StageError(
            Reason.UNSUPPORTED,
            f"files of format {kind} are read whole each time",
            where=f"{source.name}, incremental",
            cure="remove incremental; it is for tables",
        )
    taken, left_out = of_format(source, kind, [SourceFile(name, Path(name), name) for name in names])
    if left_out:
        progress.warning(f"{source.name}: {len(left_out)} file(s) not of format {kind} left out: {left_out[0]}, ...")
    wanted = {file.name for file in taken}
    signs = {str(sign[0]): sign for sign in listing.signs if sign[0] in wanted}
    known = {} if before is None else _known(before, signs, kind)
    new = signs.keys() - known.keys()
    files = listing.fetch(new)
    found = {file: file_sign(file) for file in files}
    budget = Expansion(files)
    if unpacked(files, source, scratch=scratch, budget=budget) != files:
        return _whole(source, config, scratch, progress)
    tables = {file.name: _table(file, kind, source, scratch, budget) for file in files}
    sizes = {file.name: sign[1] for file, sign in found.items()}
    parts = [known.get(name) or Part(_piece(name, sign, sizes[name]), tables[name]) for name, sign in signs.items()]
    opened = _opened(source, kind, files, Reading(layout, tuple(parts), former=before.rows if before else None))
    if before is not None:
        progress.note(f"{source.name}: {len(new)} of {len(signs)} files are new")
    return replace(opened, signs=found)


def _known(before: _Former, signs: Mapping[str, Sign], kind: Format) -> dict[str, Part]:
    """The parts that need not be read, by name. Raises _AnewError where one is not what it was."""
    if before.read.format != kind:
        raise _AnewError(f"its format is {kind}, and was {before.read.format}")
    known = {part.piece.name: part for part in parts_before(before.read)}
    for name, part in known.items():
        if name not in signs:
            raise _AnewError(f"{name} is gone")
        if signs[name] != part.piece.sign:
            raise _AnewError(f"{name} changed")
    return known


def _table(file: SourceFile, kind: Format, source: Source, scratch: Callable[[], Path], budget: Expansion) -> Table:
    with reading(file.display):
        plain = uncompressed(file, scratch, budget)
        return open_table(file, plain, kind, source, limited=False, scratch=scratch, budget=budget)


def _whole(source: Source, config: CollectConfig, scratch: Callable[[], Path], progress: Progress) -> Opened:
    progress.warning(f"{source.name}: archives are read whole each time")
    return open_source(source, config, scratch, progress)


# ---------------------------------------------------------------- databases


def _open_rows(
    source: Source,
    config: CollectConfig,
    scratch: Callable[[], Path],
    progress: Progress,
    layout: str,
    before: _Former | None,
) -> Opened:
    from runwright_components.collect.sql.reading import sql_since

    mark = before.read.mark if before else None
    since = sql_since(source, config.base, mark, scratch=scratch, progress=progress)
    if since.replaced:
        progress.warning(
            f"{source.name}: all is read again: the cursor's greatest value went down, or changed its type"
        )
        before = None
    kept = [] if before is None else parts_before(before.read)
    files = [
        SourceFile(f"part-{len(kept) + index:03}.parquet", file.path, file.display)
        for index, file in enumerate(since.files)
    ]
    budget = Expansion(files)
    tables = [_table(file, "parquet", source, scratch, budget) for file in files]
    if before is not None:
        _require_columns(before, tables)
    new = [(file, table, rows) for file, table in zip(files, tables, strict=True) if (rows := _rows(table))]
    parts = [*kept, *(Part(_piece(file.name, (), file.path.stat().st_size), table) for file, table, _ in new)]
    if before is not None:
        total = sum(rows for *_, rows in new)
        progress.note(
            f"{source.name}: {total:,} rows are new, {sum(part.piece.rows for part in kept):,} were read before"
        )
    made = Reading(layout, tuple(parts), since.mark, before.rows if before else None)
    return _opened(source, "parquet", [file for file, *_ in new], made)


def _require_columns(before: _Former, tables: Sequence[Table]) -> None:
    """Raises _AnewError when the table has other columns than it had."""
    was = set(pl.scan_parquet(before.rows, glob=False).collect_schema().names())
    for table in tables:
        if differing := was ^ set(table.frame.collect_schema().names()):
            raise _AnewError(f"column {min(differing)!r} is new or gone")


def _rows(table: Table) -> int:
    return int(table.frame.select(pl.len()).collect().item())


# ---------------------------------------------------------------- both


def _piece(name: str, sign: Sign, size: int) -> Piece:
    return Piece(name=name, sign=sign, digest="", bytes=size, rows=0)


def _opened(source: Source, kind: Format, files: list[SourceFile], made: Reading) -> Opened:
    size = sum(part.piece.bytes for part in made.parts)
    return Opened(source, kind, files, size, made.tables(source.name), {}, made)
