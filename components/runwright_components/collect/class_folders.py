"""Images and texts in class folders: a row a file, with the name of the top folder as its label."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO

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


class _TooLargeError(BadFileError):
    """It was not read."""


def write_shards(
    files: list[SourceFile],
    *,
    column: str,
    read: Callable[[bytes], bytes | str],
    new_shard: Callable[[], Path],
    on_bytes: Callable[[int], None],
    where: str,
    in_pieces: bool = False,
    largest: int = MAX_FILE_BYTES,
) -> tuple[dict[str, str], int]:
    """Write rows (`column`, label, path) to Parquet shards of at most about 64 MiB, in the order of `files`; a file in
    no class folder has an empty label. A file of more than `largest` bytes is refused, or, with `in_pieces`, a text
    that becomes several rows.

    Returns name -> digest, and the number of rows. Raises StageError that lists the first bad files, after all have
    been looked at.
    """
    digests: dict[str, str] = {}
    bad: list[str] = []
    shards = _Shards(column, new_shard)
    for file, content in zip(files, _contents(files, read, largest), strict=True):
        try:
            if isinstance(content, _TooLargeError) and in_pieces:
                digests[file.name] = _add_pieces(file, largest, shards, on_bytes)
                continue
            if isinstance(content, BadFileError):
                raise content
        except BadFileError as error:
            bad.append(f"{file.display}: {error}")
            continue
        value, digests[file.name], size = content
        shards.add(value, file, size)
        on_bytes(size)
    if bad:
        raise _refusal(bad, len(files), column, where)
    shards.flush()
    return digests, shards.rows


class _Shards:
    """Rows on their way to the next shard."""

    def __init__(self, column: str, new_shard: Callable[[], Path]) -> None:
        self._column = column
        self._new_shard = new_shard
        self._held: list[tuple[bytes | str, str, str]] = []
        self._bytes = 0
        self.rows = 0

    def add(self, value: bytes | str, file: SourceFile, size: int) -> None:
        label = file.name.partition("/")[0] if "/" in file.name else ""
        self._held.append((value, label, file.name))
        self._bytes += size
        self.rows += 1
        if self._bytes >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._held:
            _write(self._held, self._column, self._new_shard())
        self._held, self._bytes = [], 0


def _add_pieces(file: SourceFile, largest: int, shards: _Shards, on_bytes: Callable[[int], None]) -> str:
    """Add a large text piece by piece; returns the file's digest. Raises BadFileError."""
    whole, lines = sha256(), 0
    with reading(file.display), file.path.open("rb") as opened:
        for piece in text_pieces(opened, largest):
            shards.add(decode_text(piece, lines_before=lines), file, len(piece))
            whole.update(piece)
            lines += piece.count(b"\n")
            on_bytes(len(piece))
    return f"sha256:{whole.hexdigest()}"


def text_pieces(file: IO[bytes], largest: int) -> Iterator[bytes]:
    """A UTF-8 text in pieces of at most `largest` bytes that end with a line; a line that is longer is cut between two
    characters. `largest` is at least 4."""
    rest = b""
    while True:
        content = rest + file.read(largest - len(rest))
        if len(content) < largest:
            break
        cut = content.rfind(b"\n") + 1 or _last_character(content)
        yield content[:cut]
        rest = content[cut:]
    if content:
        yield content


def _last_character(content: bytes) -> int:
    """Where the last character of a text that may be cut within it begins; its end where that cannot be told."""
    starts = (len(content) - back for back in range(1, 5) if content[-back] & 0xC0 != 0x80)
    return next(starts, 0) or len(content)


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


def decode_text(content: bytes, *, lines_before: int = 0) -> str:
    """The text of a UTF-8 file, without a byte order mark, or of a piece of it that `lines_before` precede. Raises
    BadFileError with the line of the first bad byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = lines_before + content.count(b"\n", 0, error.start) + 1
        raise BadFileError(f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8") from error


def _contents(
    files: list[SourceFile], read: Callable[[bytes], bytes | str], largest: int
) -> Iterator[tuple[bytes | str, str, int] | BadFileError]:
    """Read and check in threads (PIL decodes without the GIL), a bounded number ahead, in order."""

    def one(file: SourceFile) -> tuple[bytes | str, str, int] | BadFileError:
        with reading(file.display):
            size = file.path.stat().st_size
            if size > largest:
                return _TooLargeError(f"too large: {size:,} bytes are more than {largest:,}")
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
