"""Files that are whole or absent: atomic writes, atomic folders, and digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runwright_components.contract.outcome import Reason, StageError


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file by way of a temporary name beside it. Raises StageError (StorageFull) when the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with disk_errors(path), os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def canonical_json(content: Any) -> bytes:
    """The one JSON form of `content`: sorted keys, two spaces, final newline. NaN and infinities are refused."""
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: Path, content: Any) -> Path:
    return write_bytes(path, canonical_json(content))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears under `target` only when the block ends without an error.

    An existing empty `target` (KFP makes the parents) is replaced; one that holds files is an error of the caller.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        with disk_errors(target):
            yield temporary
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide artifacts from the serving user
        if target.is_dir():
            target.rmdir()
        temporary.replace(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full disk and refused permission into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StageError(
                Reason.STORAGE_FULL,
                "the disk is full",
                where=str(where),
                cure="free some space, or put the workspace on a larger disk with --workspace",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StageError(
                Reason.SOURCE_DENIED,
                f"no permission: {error.filename or where}",
                where=str(where),
                cure="give this user the right to read and write there, or choose another place with --workspace",
            ) from error
        raise


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content as `sha256:HEX`, read in bounded memory."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def folder_files(folder: Path, *, without: Iterable[str] = ()) -> dict[str, str]:
    """Relative POSIX path -> digest of every file under `folder`, sorted, but for the relative paths in `without`."""
    left_out = set(without)
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    names = [name for name in found if name not in left_out]
    with ThreadPoolExecutor() as threads:  # hashing lets go of the interpreter's lock
        return dict(zip(names, threads.map(file_digest, (found[name] for name in names)), strict=True))


def files_digest(files: Mapping[str, str]) -> str:
    """One digest over a table of file digests; independent of the order."""
    text = json.dumps(dict(sorted(files.items())), separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def verify_files(folder: Path, files: Mapping[str, str]) -> None:
    """Compare a folder with its table of digests; raises StageError (DigestMismatch) that names the file."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise StageError(
                Reason.DIGEST_MISMATCH,
                f"{name} is missing",
                where=str(folder),
                cure="copy the whole package again from the registry",
            )
        actual = file_digest(path)
        if actual != expected:
            raise StageError(
                Reason.DIGEST_MISMATCH,
                f"{name} was altered: its digest is {actual}, the manifest says {expected}",
                where=str(folder),
                cure="restore it from the registry; if the change is meant, run the pipeline again for a new package",
            )


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file where the file system can, else copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
