"""The files of a table, on this machine or in object storage: names below its folder, brought here when they are read.

An Iceberg table names its files by whole addresses, and its metadata may hold settings of the library that reads them.
Neither is trusted: what is not below the table's own folder is not read, and settings do nothing. So a table may also
be a copy of one that was written elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile

from runwright_components.collect.buckets import open_store
from runwright_components.collect.files import local_path
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.addresses import ObjectAddress

METADATA = "metadata"


class Folder(Protocol):
    """A table's folder. Names are POSIX paths below it."""

    place: str  # for messages

    def metadata(self) -> list[str]:
        """The names of the files in its folder of metadata."""

    def fetch(self, name: str) -> Path:
        """The file on this machine. Raises StageError or FileNotFoundError when there is none."""

    def forget(self, name: str) -> None:
        """The file is not needed any more."""


class LocalFolder:
    def __init__(self, root: Path) -> None:
        self._root, self.place = root, str(root)

    def metadata(self) -> list[str]:
        return sorted(f"{METADATA}/{path.name}" for path in (self._root / METADATA).glob("*") if path.is_file())

    def fetch(self, name: str) -> Path:
        return self._root / name

    def forget(self, name: str) -> None:
        """It stays where it is."""


class BucketFolder:
    """Objects below a key; each is downloaded when it is read first."""

    def __init__(self, source: Source, address: ObjectAddress, scratch: Callable[[], Path]) -> None:
        self._store = open_store(source, address)
        self._key = address.key.rstrip("/")
        self._scratch = scratch
        self._here: dict[str, Path] = {}
        self._lock = threading.Lock()  # manifests are read side by side
        self.place = str(address).rstrip("/")

    def metadata(self) -> list[str]:
        folder = self._whole(METADATA)
        found = (info.key.removeprefix(f"{folder}/") for info in self._store.objects(folder))
        return [f"{METADATA}/{name}" for name in found if "/" not in name]

    def fetch(self, name: str) -> Path:
        with self._lock:
            if (known := self._here.get(name)) is not None:
                return known
            target = self._scratch()
        self._store.download(self._whole(name), target, on_bytes=lambda _size: None)
        with self._lock:
            return self._here.setdefault(name, target)

    def forget(self, name: str) -> None:
        with self._lock:
            path = self._here.pop(name, None)
        if path is not None:
            path.unlink()

    def _whole(self, name: str) -> str:
        return f"{self._key}/{name}" if self._key else name


def open_folder(source: Source, base: str, scratch: Callable[[], Path]) -> tuple[Folder, str | None]:
    """The table's folder; and the name of its metadata file, where the source names that."""
    if "://" in source.uri and not source.uri.startswith("file://"):
        address = ObjectAddress.parse(source.uri)
        root, name = _split(address.key)
        return BucketFolder(source, ObjectAddress(address.scheme, address.bucket, root), scratch), name
    root, name = _split(str(local_path(source, base)))
    return LocalFolder(Path(root)), name


def _split(path: str) -> tuple[str, str | None]:
    """TABLE/metadata/NAME.metadata.json, or the folder TABLE."""
    pure = PurePosixPath(path)
    if not pure.name.endswith((".metadata.json", ".metadata.json.gz")):
        return path, None
    return ("" if str(pure.parent.parent) == "." else str(pure.parent.parent)), f"{pure.parent.name}/{pure.name}"


class TableFiles(FileIO):
    """What pyiceberg reads a table's files through; it writes nothing. `location`: where the table says that it is."""

    def __init__(self, folder: Folder, location: str) -> None:
        super().__init__()
        self._folder, self._location = folder, location.rstrip("/")

    def new_input(self, location: str) -> InputFile:
        return _Input(location, self._folder, self.name(location))

    def new_output(self, location: str) -> OutputFile:
        raise NotImplementedError("a source is only read")

    def delete(self, location: Any) -> None:
        raise NotImplementedError("a source is only read")

    def name(self, location: str) -> str:
        """The name of a file below the table's folder. Raises StageError when it is not there."""
        name = location.removeprefix(f"{self._location}/")
        if name == location or ".." in name.split("/") or name.startswith("/"):
            raise StageError(
                Reason.UNSUPPORTED,
                f"the table names a file outside of its folder: {location}",
                where=self._folder.place,
                cure="write the table anew with its data below its folder (without write.data.path), or a plain copy",
            )
        return name


class _Input(InputFile):
    def __init__(self, location: str, folder: Folder, name: str) -> None:
        super().__init__(location)
        self._folder, self._name = folder, name

    def __len__(self) -> int:
        return self._folder.fetch(self._name).stat().st_size

    def exists(self) -> bool:
        return self._folder.fetch(self._name).exists()

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002 - pyiceberg names it
        found: InputStream = pa.OSFile(str(self._folder.fetch(self._name)))
        return found
