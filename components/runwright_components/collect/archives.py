"""Archives of files (zip, tar), read like a folder.

A member's name never becomes a path on this machine: its content goes to a scratch file, and the name stays a name.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from runwright_components.collect import limits
from runwright_components.collect.compressed import CHUNK, Expansion, Reader, content_now
from runwright_components.collect.files import SourceFile, file_format
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError

_SUFFIX = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tzst|tar\.(gz|bz2|xz|zst))$", re.IGNORECASE)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_TAR_BLOCK = 512
_TAR_HEADER = 1 << 20  # bytes of a name or of extended attributes, which tarfile holds in memory
_CURE = "unpack the archive yourself, and give the folder"


def unpacked(
    files: Sequence[SourceFile], source: Source, *, scratch: Callable[[], Path], budget: Expansion
) -> list[SourceFile]:
    """The files, with each archive among them replaced by what it holds, sorted by name.

    The members of a sole archive have the names that they have in it; of several, under the archive's name without its
    suffix. Hidden members are left out, as hidden files are. Raises StageError for what is dangerous or broken.
    """
    found: list[SourceFile] = []
    for file in files:
        kind = _archive(file, excel=source.format == "excel")
        if kind is None:
            found.append(file)
            continue
        above = "" if len(files) == 1 else _SUFFIX.sub("", file.name) + "/"
        members = _unzip(file, scratch, budget) if kind == "zip" else _untar(file, scratch, budget)
        found += [
            SourceFile(above + name, path, f"{file.display}: {inside}") for name, inside, path in _look_through(members)
        ]
    return sorted(found, key=lambda file: file.name)


def is_archive(name: str) -> bool:
    """Whether a file's name ends as an archive's does."""
    return _SUFFIX.search(name) is not None


def _archive(file: SourceFile, *, excel: bool) -> str | None:
    """zip or tar, by the name's end or by the first bytes; workbooks are zip files of their own."""
    ending = _SUFFIX.search(file.name)
    if ending:
        return "zip" if ending[1].lower() == "zip" else "tar"
    if file_format(file.name) in ("images", "text"):
        return None  # there may be millions
    if _starts_like_zip(file.path) and not excel and file_format(file.name) != "excel":
        return "zip"
    return "tar" if _starts_like_tar(file) else None


def _starts_like_zip(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(4) in _ZIP


def _starts_like_tar(file: SourceFile) -> bool:
    try:
        with content_now(file) as opened:
            return opened.read(_TAR_BLOCK)[257:262] == b"ustar"
    except StageError:
        return False  # whoever reads the file will say what is wrong with it


Member = tuple[str, Path]


def _look_through(members: list[Member]) -> list[tuple[str, str, Path]]:
    """(name, name in the archive, path); a single folder around all others is no part of the name."""
    tops = {name.partition("/")[0] for name, _ in members}
    around = len(tops) == 1 and all(name.count("/") > 1 for name, _ in members)
    return [(name.partition("/")[2] if around else name, name, path) for name, path in members]


# ---------------------------------------------------------------- zip


def _unzip(file: SourceFile, scratch: Callable[[], Path], budget: Expansion) -> list[Member]:
    with _broken_archive(file, "zip"), zipfile.ZipFile(file.path) as archive:
        names = _Names(file)
        wanted = [(name, info) for info in archive.infolist() if (name := _zip_name(info, names))]
        return [(name, _extract(archive, info, name, file, scratch(), budget)) for name, info in wanted]


def _zip_name(info: zipfile.ZipInfo, names: _Names) -> str | None:
    """The member's name, None when it is left out; nothing is unpacked before all are known to be harmless."""
    if info.is_dir():
        return None
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise names.refusal(f"{info.filename!r} is a link or a device")
    if info.flag_bits & 1:
        raise names.refusal(
            f"{info.filename!r} is encrypted", cure="decrypt it before: passwords of archives are not read"
        )
    if info.compress_type not in _METHODS:
        raise names.refusal(f"{info.filename!r} is compressed by a method that is not read", cure="use deflate")
    return names.take(info.filename)


def _extract(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, file: SourceFile, target: Path, budget: Expansion
) -> Path:
    with archive.open(info) as source, target.open("wb") as out:
        while chunk := source.read(CHUNK):
            budget.add(len(chunk), f"{file.display}: {name}")
            out.write(chunk)
    return _refuse_nested(name, target, file)


# ---------------------------------------------------------------- tar


class _Header(tarfile.TarInfo):
    """A header whose name and attributes are not larger than names and attributes are."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type not in tarfile.REGULAR_TYPES and self.size > _TAR_HEADER:
            raise tarfile.ReadError("a header is too large")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Counted:
    """A stream that counts what is read from it, and keeps its last block."""

    def __init__(self, reader: Reader, budget: Expansion, where: str) -> None:
        self._reader, self._budget, self._where = reader, budget, where
        self.last = b""

    def read(self, size: int) -> bytes:
        chunk = self._reader.read(size)
        self._budget.add(len(chunk), self._where)
        self.last = (self.last + chunk)[-_TAR_BLOCK:]
        return chunk


def _untar(file: SourceFile, scratch: Callable[[], Path], budget: Expansion) -> list[Member]:
    found: list[Member] = []
    names = _Names(file)
    with _broken_archive(file, "tar"), content_now(file) as content:
        counted = _Counted(content, budget, file.display)
        with tarfile.open(fileobj=cast("BinaryIO", counted), mode="r|", tarinfo=_Header) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps all headers
                if member.isdir():
                    continue
                if not member.isfile() or member.issparse():
                    raise names.refusal(f"{member.name!r} is a link, a device or a sparse file")
                name = names.take(member.name)
                if name is not None:
                    found.append((name, _copy(archive, member, name, file, scratch())))
        if counted.last.strip(b"\0"):
            raise tarfile.ReadError("it has no end")
    return found


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, file: SourceFile, target: Path) -> Path:
    source = archive.extractfile(member)
    with target.open("wb") as out:
        while source is not None and (chunk := source.read(CHUNK)):
            out.write(chunk)
    return _refuse_nested(name, target, file)


# ---------------------------------------------------------------- what is refused


class _Names:
    """The names of an archive's members, as they are taken."""

    def __init__(self, archive: SourceFile) -> None:
        self._archive = archive
        self._taken: set[str] = set()
        self._number = 0

    def take(self, raw: str) -> str | None:
        """The name with slashes between its parts; None for a hidden one. Raises StageError for one that leads out of
        the folder, for a second one of the name, and for too many."""
        parts = [part for part in raw.replace("\\", "/").split("/") if part not in ("", ".")]
        if raw.startswith(("/", "\\")) or re.match("[A-Za-z]:", raw):
            raise self.refusal(f"{raw!r} is an absolute path")
        if ".." in parts:
            raise self.refusal(f"{raw!r} leads out of the archive's folder")
        self._number += 1
        if self._number > limits.MAX_MEMBERS:
            raise self.refusal(f"it has more than {limits.MAX_MEMBERS:,} members")
        if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
            return None
        name = "/".join(parts)
        if name in self._taken:
            raise self.refusal(f"{name!r} is there twice")
        if name != name.encode("utf-8", "replace").decode():  # tarfile keeps other encodings as half characters
            raise self.refusal(f"the name {name!r} is not UTF-8")
        self._taken.add(name)
        return name

    def refusal(self, message: str, *, cure: str = _CURE) -> StageError:
        return StageError(Reason.DATA_INVALID, message, where=self._archive.display, cure=cure)


def _refuse_nested(name: str, path: Path, archive: SourceFile) -> Path:
    if _archive(SourceFile(name, path, name), excel=False) is not None:
        raise StageError(
            Reason.DATA_INVALID,
            f"{name!r} is an archive inside an archive",
            where=archive.display,
            cure="unpack the outer one, and give the folder",
        )
    return path


@contextmanager
def _broken_archive(file: SourceFile, kind: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not a whole {kind} archive: {error}",
            where=file.display,
            cure="the file is truncated or corrupt; copy it again",
        ) from error
