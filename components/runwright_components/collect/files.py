"""The files of a local source, and the format that their names tell."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from runwright_components.contract.config import Format, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.reading import not_found, reading

FORMATS: tuple[Format, ...] = get_args(Format)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
_SUFFIXES: dict[Format, frozenset[str]] = {
    "csv": frozenset({".csv", ".tsv"}),
    "json": frozenset({".json"}),
    "jsonl": frozenset({".jsonl", ".ndjson"}),
    "parquet": frozenset({".parquet", ".pq"}),
    "avro": frozenset({".avro"}),
    "orc": frozenset({".orc"}),
    "arrow": frozenset({".arrow", ".arrows", ".feather", ".ipc"}),
    "excel": frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}),
    "images": IMAGE_SUFFIXES,
    "text": frozenset({".txt"}),
}
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
_BY_CLASS_FOLDER: frozenset[Format] = frozenset({"images", "text"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source: `name` relative to the source (POSIX), `path` on this machine, `display` for messages."""

    name: str
    path: Path
    display: str


def local_path(source: Source, base: str) -> Path:
    return Path(base, source.uri.removeprefix("file://"))


def local_files(source: Source, base: str) -> list[SourceFile]:
    """The files that a local `uri` names, sorted by name; hidden files and folders are left out.

    Raises StageError (SourceNotFound, SourceDenied) with the source's name as the place.
    """
    path = local_path(source, base)
    with reading(source.name):
        if path.is_dir():
            found = [(file.relative_to(path).as_posix(), file) for file in _walk(path)]
        elif path.exists():
            found = [(path.name, path)]
        elif glob.has_magic(str(path)):
            root, pattern = _split_pattern(path)
            found = [(hit.relative_to(root).as_posix(), hit) for hit in root.glob(pattern) if hit.is_file()]
            found = [(name, file) for name, file in found if not any(part[0] == "." for part in name.split("/"))]
        else:
            raise not_found(path, source.name)
    if not found:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            f"no file under {path}" if path.is_dir() else f"no file matches {path}",
            where=source.name,
            cure="check the folder or the pattern; hidden files are not read",
        )
    return [SourceFile(name, file, str(file)) for name, file in sorted(found)]


Sign = tuple[str, int, int]


def file_sign(file: SourceFile) -> Sign:
    """Name, size and time of the last change: what changes when the file does, as far as can be told unread."""
    with reading(file.display):
        stat = file.path.stat()
    return file.name, stat.st_size, stat.st_mtime_ns


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:  # os.walk would skip an unreadable folder in silence
        raise error

    for root, folders, names in os.walk(folder, onerror=fail, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root, name) for name in names if not name.startswith("."))


def _split_pattern(path: Path) -> tuple[Path, str]:
    """The folder above the first glob character, and the pattern under it."""
    first = next(index for index, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:first]), "/".join(path.parts[first:])


def bare_name(name: str) -> str:
    """The name without the suffix of a compression."""
    ending = next((suffix for suffix in COMPRESSED_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)]


def file_format(name: str) -> Format | None:
    """The format that a file's name tells; the suffix of a compression after it is looked through."""
    suffix = PurePosixPath(bare_name(name.lower())).suffix
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), None)


def choose_format(source: Source, files: Iterable[str]) -> Format:
    """The source's format: as given, else the only one that the file names tell.

    Where files are labelled by their folder, a `.txt` counts only in one: a README beside tables is no data.
    Raises StageError (InvalidConfig) when the names tell none or several.
    """
    if source.format is not None:
        return source.format
    names = list(files)
    anywhere = len(names) == 1 or not source.labelled
    kinds = {file_format(name) for name in names if anywhere or "/" in name or file_format(name) != "text"}
    known = sorted(kind for kind in kinds if kind)
    if len(known) == 1:
        return known[0]
    what = f"the files are of several formats: {', '.join(known)}" if known else f"{names[0]}: no known extension"
    raise StageError(
        Reason.INVALID_CONFIG,
        f"cannot tell the format of the source: {what}",
        where=source.name,
        cure=f"set data.sources[{source.name}].format to one of {', '.join(FORMATS)}, or name the files by a pattern",
    )


def of_format(source: Source, kind: Format, files: list[SourceFile]) -> tuple[list[SourceFile], list[str]]:
    """The files that belong to the format, and the names of the ones left out.

    A single file is taken whatever its name when the format was given. Raises StageError when none is left.
    """
    if len(files) == 1 and (kind not in _BY_CLASS_FOLDER or not source.labelled):
        return files, []
    taken = [file for file in files if file_format(file.name) == kind]
    if not taken:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            f"no {kind} file among {len(files)} files ({files[0].name}, ...)",
            where=source.name,
            cure=f"the extensions of {kind} are {', '.join(sorted(_SUFFIXES[kind]))}",
        )
    if kind in _BY_CLASS_FOLDER and source.labelled:
        _require_class_folders(source, kind, taken)
    chosen = set(taken)
    return taken, [file.name for file in files if file not in chosen]


def _require_class_folders(source: Source, kind: Format, files: list[SourceFile]) -> None:
    outside = next((file for file in files if "/" not in file.name), None)
    if outside is not None:
        raise StageError(
            Reason.DATA_INVALID,
            f"{outside.display} lies in no class folder",
            where=source.name,
            cure=f"name the folder above and sort the files by label: FOLDER/LABEL/{outside.name} (format {kind})",
        )
