"""Folders in storage: a revision's prepared data, checkpoints and model, in a bucket (s3://) or on a disk (file://).

A folder counts once its index is there: the index is written last, and names every file with its digest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from pydantic import ValidationError

from runwright_components.contract.artifacts import MANIFEST, Document, PackageManifest
from runwright_components.contract.cluster import STORAGE_PREFIX, StorageConfig
from runwright_components.contract.files import (
    canonical_json,
    disk_errors,
    files_digest,
    folder_files,
    new_folder,
    verify_files,
    write_bytes,
)
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.addresses import S3Address
from runwright_components.storage.s3 import Bucket

INDEX = ".index.json"

PREPARED = "prepared"
RAW = "raw"  # what a job that prepares data is given
FORMER = "former"  # and what the revision before left for it
CHECKPOINTS = "checkpoints"
MODEL = "model"
RAY = "ray"  # what Ray Train keeps itself
PROGRESS = "progress.json"


class Index(Document):
    """The files of a stored folder; `digest` is over them."""

    digest: str
    files: dict[str, str]


class Place(Protocol):
    """A prefix in a bucket, or a folder. Names are relative, with slashes. Every failure is a StageError."""

    @property
    def uri(self) -> str: ...

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, content: bytes) -> None: ...

    def upload(self, path: Path, name: str) -> None: ...

    def download(self, name: str, target: Path) -> None: ...

    def folders(self) -> list[str]:
        """Names of the folders directly under here."""
        ...

    def files(self) -> set[str]:
        """Names of all files under here."""
        ...

    def remove(self) -> None:
        """Remove all that lies here."""
        ...

    def under(self, name: str) -> Place: ...


def place(storage: StorageConfig, uri: str | None = None) -> Place:
    """The place at `uri`, by default the storage's own prefix. Raises StageError (InvalidConfig) for other schemes."""
    address = uri or storage.uri
    scheme, separator, rest = address.partition("://")
    if not separator:
        return Folder(Path(address))
    if scheme == "file" and rest.startswith("/"):
        return Folder(Path(rest))
    if scheme == "s3":
        found = S3Address.parse(address)
        bucket = Bucket(found.bucket, endpoint=storage.endpoint, region=storage.region, prefix=STORAGE_PREFIX)
        return Objects(bucket, found.key.strip("/"))
    raise StageError(
        Reason.INVALID_CONFIG,
        f"{scheme}:// is no storage that this version can use",
        where="storage.uri",
        cure="write s3://BUCKET/PREFIX, or file:///FOLDER on a single node",
    )


class Objects:
    """A prefix in a bucket."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket.name}/{self._prefix}"

    def read(self, name: str) -> bytes | None:
        try:
            return self._bucket.read(self._key(name))
        except StageError as error:
            if error.reason is Reason.SOURCE_NOT_FOUND:
                return None
            raise

    def write(self, name: str, content: bytes) -> None:
        self._bucket.write(self._key(name), content)

    def upload(self, path: Path, name: str) -> None:
        self._bucket.upload(path, self._key(name))

    def download(self, name: str, target: Path) -> None:
        self._bucket.download(self._key(name), target, on_bytes=lambda _size: None)

    def folders(self) -> list[str]:
        return self._bucket.folders(self._prefix)

    def files(self) -> set[str]:
        return {info.key.removeprefix(f"{self._prefix}/") for info in self._bucket.objects(self._prefix)}

    def remove(self) -> None:
        keys = [info.key for info in self._bucket.objects(self._prefix)]
        if keys:
            self._bucket.delete(keys)

    def under(self, name: str) -> Objects:
        return Objects(self._bucket, self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


class Folder:
    """A folder on a disk that all who use it share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def uri(self) -> str:
        return f"file://{self._folder}"

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self._folder / name, content)

    def upload(self, path: Path, name: str) -> None:
        with disk_errors(self._folder):
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as temporary:
                pass
            shutil.copyfile(path, temporary.name)
            Path(temporary.name).chmod(0o644)
            Path(temporary.name).replace(target)

    def download(self, name: str, target: Path) -> None:
        try:
            with disk_errors(target):
                shutil.copyfile(self._folder / name, target)
        except FileNotFoundError as error:
            raise StageError(Reason.SOURCE_NOT_FOUND, f"{name} is missing", where=self.uri) from error

    def folders(self) -> list[str]:
        return sorted(path.name for path in self._folder.glob("*") if path.is_dir())

    def files(self) -> set[str]:
        return {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()}

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def under(self, name: str) -> Folder:
        return Folder(self._folder / name)


def index_of(there: Place) -> Index | None:
    """The index of a stored folder; None when it is not whole."""
    content = there.read(INDEX)
    if content is None:
        return None
    try:
        return Index.model_validate_json(content)
    except ValidationError:
        return None


def store_folder(folder: Path, there: Place) -> Index:
    """Copy a folder to `there`, unless the same content is there already. Raises StageError."""
    files = folder_files(folder)
    index = Index(digest=files_digest(files), files=files)
    if index_of(there) == index:
        return index
    there.remove()  # an older content's index must not vouch for what is half overwritten
    for name in files:
        there.upload(folder / name, name)
    there.write(INDEX, canonical_json(index.model_dump(mode="json")))
    return index


def fetch_folder(there: Place, target: Path) -> Index:
    """Copy a stored folder to the new folder `target` and verify it. Raises StageError (SourceNotFound, DigestMismatch,
    ...)."""
    index = index_of(there)
    if index is None:
        raise StageError(
            Reason.SOURCE_NOT_FOUND, "nothing whole is stored here", where=there.uri, cure="run the step before again"
        )
    with new_folder(target) as folder:
        _download(there, index.files, folder)
    return index


def fetch_package(there: Place, target: Path, digest: str) -> PackageManifest:
    """Copy a package into the existing folder `target` and verify it; its manifest comes last, so that a server never
    sees half a package. What is there already and whole stays. Raises StageError."""
    with _manifest_errors(there):
        content = there.read(MANIFEST)
        if content is None:
            raise StageError(
                Reason.SOURCE_NOT_FOUND, "there is no package here", where=there.uri, cure="see whether it was deleted"
            )
        manifest = PackageManifest.model_validate_json(content)
    if manifest.digest != digest or files_digest(manifest.files) != digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"the package is {manifest.digest}, wanted is {digest}",
            where=there.uri,
            cure="the registry's version was altered; register the model again",
        )
    target.mkdir(parents=True, exist_ok=True)
    if not _is_whole(target, manifest):
        (target / MANIFEST).unlink(missing_ok=True)
        _download(there, manifest.files, target)
        manifest.write(target)
    return manifest


def _is_whole(target: Path, manifest: PackageManifest) -> bool:
    if not (target / MANIFEST).is_file():
        return False
    try:
        verify_files(target, manifest.files)
    except StageError:
        return False
    return True


def _download(there: Place, files: dict[str, str], folder: Path) -> None:
    with disk_errors(folder):
        for name in files:
            parts = PurePosixPath(name)
            if parts.is_absolute() or ".." in parts.parts or not parts.parts:
                raise StageError(
                    Reason.DIGEST_MISMATCH, f"the index lists {name!r}, which leads out of the folder", where=there.uri
                )
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            there.download(name, path)
        verify_files(folder, files)


@contextmanager
def _manifest_errors(there: Place) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{MANIFEST} is no manifest of a package: {error.errors()[0]['msg']}",
            where=there.uri,
            cure="the version was altered or made by another release; register the model again",
        ) from error
