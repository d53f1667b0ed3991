"""A source's files on this machine, unpacked, known by format and opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from runwright_components.collect.archives import unpacked
from runwright_components.collect.compressed import Expansion, uncompressed
from runwright_components.collect.files import Sign, SourceFile, choose_format, file_sign, of_format
from runwright_components.collect.logs import open_logs
from runwright_components.collect.reading_on import Reading
from runwright_components.collect.saved_datasets import SPLIT, SavedSplit, open_splits, saved_splits
from runwright_components.collect.sources import source_files
from runwright_components.collect.tables import Table, explain_broken, open_table
from runwright_components.contract.config import CollectConfig, Source, SyntheticConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.reading import reading


@dataclass(frozen=True, slots=True)
class Opened:
    """A source whose files are on this machine; `tables` is empty for class folders."""

    source: Source
    format: str
    files: list[SourceFile]
    bytes: int
    tables: list[Table]
    signs: dict[SourceFile, Sign]  # of the files as they were found, for what must not change while it is read
    reading: Reading | None = None  # of an incremental source: what was read before, and what is new

    def check_unchanged(self) -> None:
        """Raise StageError when a file is not what it was when it was opened."""
        for file, sign in self.signs.items():
            if file_sign(file) != sign:
                raise StageError(
                    Reason.DATA_UNREADABLE,
                    "the file changed while it was read",
                    where=file.display,
                    cure="wait until it is written, or read a copy; write to a new name and rename at the end",
                )


def open_source(source: Source, config: CollectConfig, scratch: Callable[[], Path], progress: Progress) -> Opened:
    """Raises StageError when the source cannot be found, reached, unpacked or understood."""
    if source.synthetic is not None:
        return _made(source, source.synthetic, scratch, progress)
    found = source_files(source, config.base, scratch=scratch, limit=config.max_rows, progress=progress)
    signs = {file: file_sign(file) for file in found}
    with reading(source.name):
        budget = Expansion(found)
        files = unpacked(found, source, scratch=scratch, budget=budget)
    if source.logs is not None:
        table = open_logs(source, source.logs, files, scratch=scratch, budget=budget, progress=progress)
        return Opened(source, "logs", files, _size(source, files), [table], signs={})  # logs grow; a copy was read
    if source.format in (None, "arrow") and (splits := saved_splits(files)):
        return _saved(source, splits, signs, scratch, progress)
    kind = choose_format(source, (file.name for file in files))
    files, left_out = of_format(source, kind, files)
    if left_out:
        progress.warning(f"{source.name}: {len(left_out)} file(s) not of format {kind} left out: {left_out[0]}, ...")
    size = _size(source, files)
    if kind == "images":
        return Opened(source, kind, files, size, [], signs)
    plain = []
    for file in files:
        with reading(file.display):
            plain.append(uncompressed(file, scratch, budget))
    if kind == "text":
        files = [SourceFile(file.name, path, file.display) for file, path in zip(files, plain, strict=True)]
        return Opened(source, kind, files, size, [], signs)
    tables = []
    for file, path in zip(files, plain, strict=True):
        with reading(file.display):
            tables.append(
                open_table(
                    file, path, kind, source, limited=config.max_rows is not None, scratch=scratch, budget=budget
                )
            )
    return Opened(source, kind, files, size, tables, signs)


def _saved(
    source: Source,
    splits: list[SavedSplit],
    signs: dict[SourceFile, Sign],
    scratch: Callable[[], Path],
    progress: Progress,
) -> Opened:
    files = [file for split in splits for file in split.files]
    if len(splits) > 1:
        names = ", ".join(split.name for split in splits)
        progress.warning(
            f"{source.name}: the column {SPLIT} says which split a row is of ({names}); "
            f"prepare.split: {{strategy: predefined, by: {SPLIT}}} keeps them"
        )
    return Opened(source, "arrow", files, _size(source, files), open_splits(splits, scratch), signs)


def _made(source: Source, config: SyntheticConfig, scratch: Callable[[], Path], progress: Progress) -> Opened:
    from runwright_components.collect.synthetic import VERSION, write_rows

    done = 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        progress.update(done, config.rows, unit="rows", message=f"make {source.name}")

    paths = write_rows(config, scratch, on_rows)
    size = sum(path.stat().st_size for path in paths)
    digests = {f"synthetic-{VERSION}": config.digest()}  # the rows are a function of both

    def check(on_bytes: Callable[[int], None]) -> dict[str, str]:
        on_bytes(size)
        return digests

    table = Table(source.name, pl.scan_parquet(paths, glob=False), check, explain_broken(source.name))
    return Opened(source, "synthetic", [], size, [table], signs={})


def _size(source: Source, files: list[SourceFile]) -> int:
    with reading(source.name):
        return sum(file.path.stat().st_size for file in files)
