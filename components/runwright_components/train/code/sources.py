"""Where the user's code is: found beside the TrainingRun, or brought from object storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runwright_components.contract.config import CodeConfig
from runwright_components.contract.files import canonical_json, disk_errors, file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.addresses import S3Address
from runwright_components.storage.objects import ObjectInfo
from runwright_components.storage.s3 import Bucket

_LARGE = 16 * 2**20  # bytes; the content of larger files is not read to tell whether the code has changed


def locate(code: CodeConfig, *, base: Path, into: Path) -> Path:
    """The file or folder of the code on this machine; what lies in storage is copied to the folder `into`.

    Raises StageError (InvalidConfig, SourceNotFound, SourceDenied, SourceUnavailable).
    """
    assert code.path is not None
    if code.path.startswith("s3://"):
        return _download(S3Address.parse(code.path), into)
    path = base / code.path
    wanted = "a folder" if code.entrypoint else "a file"
    if not path.exists():
        raise _no_such(code.path, "there is no such file or folder")
    if path.is_dir() != bool(code.entrypoint):
        raise _no_such(code.path, f"this is not {wanted}")
    return path.resolve()


def _no_such(path: str, message: str) -> StageError:
    return StageError(
        Reason.INVALID_CONFIG,
        f"{message}: {path}",
        where="train.code.path",
        cure="give a path relative to the YAML file: a Python file, or a folder together with an entrypoint",
    )


def _objects(address: S3Address) -> tuple[Bucket, list[ObjectInfo]]:
    bucket = Bucket(address.bucket, endpoint=None, region=None)
    single = bucket.info(address.key) if address.key.endswith(".py") else None
    found = [single] if single else bucket.objects(address.key.strip("/"))
    if not found:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            "nothing lies here",
            where=str(address),
            cure="upload the code there, or correct train.code.path",
        )
    return bucket, found


def _download(address: S3Address, into: Path) -> Path:
    bucket, found = _objects(address)
    prefix = PurePosixPath(address.key.strip("/"))
    with disk_errors(into):
        for info in found:
            key = PurePosixPath(info.key)
            relative = PurePosixPath(key.name) if key == prefix else key.relative_to(prefix)
            if relative.is_absolute() or ".." in relative.parts:
                raise StageError(Reason.INVALID_CONFIG, f"{info.key!r} leads out of the folder", where=str(address))
            target = into / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            bucket.download(info.key, target, on_bytes=lambda _size: None)
    return into / prefix.name if address.key.endswith(".py") else into


def fingerprint(code: CodeConfig, *, base: Path) -> str:
    """What changes when the code does: digests of a folder's files, of a file and the modules beside it, and of the
    files that a command names. Files whose names begin with a dot, and caches, do not count. Raises StageError."""
    if code.path is not None and code.path.startswith("s3://"):
        _, found = _objects(S3Address.parse(code.path))
        return canonical_json([(info.key, info.size, info.etag) for info in found]).decode()
    if code.path is None:
        named = [base / word for word in (*code.command, *code.args) if "\0" not in word]
        files = [path for path in named if len(path.name) < 256 and path.is_file()]
    else:
        path = base / code.path
        files = list(_below(path)) if path.is_dir() else sorted(path.parent.glob("*.py"))
    return canonical_json({os.path.relpath(path, base): _sign(path) for path in files}).decode()


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from _below(path)
        elif path.is_file():
            yield path


def _sign(path: Path) -> str:
    facts = path.stat()
    return file_digest(path) if facts.st_size <= _LARGE else f"{facts.st_size} {facts.st_mtime_ns}"
