"""Images and texts in class folders: a row a file, with the name of the top folder as its label."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import polars as pl
from PIL import Image, UnidentifiedImageError

from runwright_components.collect.files import SourceFile
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.reading import reading

MAX_PIXELS = 64_000_000  # of one image; PIL calls 90 million a decompression bomb
MAX_FILE_BYTES = 64 << 20
SHARD_BYTES = 64 << 20
NAMED = 10  # bad files named in one message
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")


class BadFileError(Exception):
    """One file cannot be used, and why."""


def write_shards(
    files: list[SourceFile],
    *,
    column: str,
    read: Callable[[bytes], bytes | str],
    new_shard: Callable[[], Path],
    on_bytes: Callable[[int], None],
    where: str,
) -> dict[str, str]:
    """Write rows (`column`, label, path) to Parquet shards of at most about 64 MiB, in the order of `files`; a file in
    no class folder has an empty label.

    Returns name -> digest. Raises StageError that lists the first bad files, after all have been looked at.
    """
    digests: dict[str, str] = {}
    bad: list[str] = []
    rows: list[tuple[bytes | str, str, str]] = []
    held = 0
    for file, content in zip(files, _contents(files, read), strict=True):
        if isinstance(content, BadFileError):
            bad.append(f"{file.display}: {content}")
            continue
        value, digest, size = content
        digests[file.name] = digest
        rows.append((value, file.name.partition("/")[0] if "/" in file.name else "", file.name))
        held += size
        on_bytes(size)
        if held >= SHARD_BYTES:
            _write(rows, column, new_shard())
            rows, held = [], 0
    if bad:
        raise _refusal(bad, len(files), column, where)
    if rows:
        _write(rows, column, new_shard())
    return digests


def verify_image(content: bytes) -> bytes:
    """The same bytes, once they are known to decode. Raises BadFileError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL warns of odd EXIF data and of large images, which are judged below
        try:
            with Image.open(BytesIO(content), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise BadFileError(f"too large: {width} x {height} pixels are more than {MAX_PIXELS:,}")
                image.load()
        except UnidentifiedImageError as error:
            raise BadFileError("not a PNG, JPEG, BMP, GIF or WebP image") from error
        except Image.DecompressionBombError as error:
            raise BadFileError(f"too large: {error}") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise BadFileError(f"corrupt: {error}") from error
    return content


def decode_text(content: bytes) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises BadFileError with the line of the first bad byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFileError(f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8") from error


def _contents(
    files: list[SourceFile], read: Callable[[bytes], bytes | str]
) -> Iterator[tuple[bytes | str, str, int] | BadFileError]:
    """Read and check in threads (PIL decodes without the GIL), a bounded number ahead, in order."""

    def one(file: SourceFile) -> tuple[bytes | str, str, int] | BadFileError:
        with reading(file.display):
            size = file.path.stat().st_size
            if size > MAX_FILE_BYTES:
                return BadFileError(f"too large: {size:,} bytes are more than {MAX_FILE_BYTES:,}")
            content = file.path.read_bytes()
        if not content:
            return BadFileError("empty")
        try:
            return read(content), "sha256:" + sha256(content).hexdigest(), len(content)
        except BadFileError as error:
            return error

    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(files), 8 * workers):
            yield from pool.map(one, files[start : start + 8 * workers])


def _write(rows: Iterable[tuple[bytes | str, str, str]], column: str, path: Path) -> None:
    kind = pl.Binary() if column == "image" else pl.String()
    schema = {column: kind, "label": pl.String(), "path": pl.String()}
    # Images are compressed already.
    pl.DataFrame(list(rows), schema=schema, orient="row").write_parquet(
        path, compression="lz4" if column == "image" else "zstd", statistics=False
    )


def _refusal(bad: list[str], total: int, column: str, where: str) -> StageError:
    more = f"\n  and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    listed = "\n  ".join(bad[:NAMED])
    return StageError(
        Reason.DATA_UNREADABLE,
        f"{len(bad)} of {total} {column} files cannot be read:\n  {listed}{more}",
        where=where,
        cure="replace these files or move them out of the folder",
    )
