"""Gzip around text formats."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from runwright_components.collect.files import SourceFile
from runwright_components.contract.config import Format
from runwright_components.contract.outcome import Reason, StageError

_MAGIC = b"\x1f\x8b"
MAX_BYTES = 1 << 38  # uncompressed; a bomb ends here, or at the full disk


def uncompressed(file: SourceFile, kind: Format, scratch: Callable[[], Path]) -> Path:
    """The file itself, or for a gzip around CSV or JSON the content in a `scratch` path."""
    if kind not in ("csv", "json", "jsonl") or not _is_gzip(file.path):
        return file.path
    target, size = scratch(), 0
    try:
        with gzip.open(file.path) as source, target.open("wb") as out:
            while chunk := source.read(1 << 20):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise StageError(
                        Reason.DATA_INVALID,
                        f"more than {MAX_BYTES:,} bytes come out of the gzip",
                        where=file.display,
                        cure="split the file, or write Parquet",
                    )
                out.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not a whole gzip file: {error}",
            where=file.display,
            cure="the file is truncated or corrupt; copy it again",
        ) from error
    return target


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _MAGIC
