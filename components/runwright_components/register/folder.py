"""A registry in a folder: NAME/1, NAME/2, ... and NAME/index.json."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runwright_components.contract.artifacts import MANIFEST, PackageManifest, Registration
from runwright_components.contract.files import disk_errors, new_folder, verify_files
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Progress
from runwright_components.register.index import INDEX, Index

_LOCK = ".lock"


def register_folder(
    home: Path, name: str, package: Path, manifest: PackageManifest, progress: Progress
) -> Registration:
    """Copy the package to the next free `home`/N: under a temporary name, on disk, checked, then renamed."""
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home):
            published = _published(home, progress)
            number = _intact(home, published, manifest.digest, progress)
            created = number is None
            if number is None:
                number = _publish(home, package, manifest, progress)
                published[number] = manifest
            Index.of(name, published).write(home, INDEX)
    return Registration(name=name, version=number, uri=str(home / str(number)), digest=manifest.digest, created=created)


def _published(home: Path, progress: Progress) -> dict[int, PackageManifest]:
    """The versions by number; one that cannot be read keeps its number and is told of."""
    found = {}
    for path in home.iterdir():
        if path.name.isdecimal():
            try:
                found[int(path.name)] = PackageManifest.read(path)
            except StageError as error:
                progress.warning(f"version {path.name} cannot be read: {error.message}")
    return found


def _intact(home: Path, published: dict[int, PackageManifest], digest: str, progress: Progress) -> int | None:
    """The newest version with this digest whose files are still what they were."""
    for number in sorted((number for number, one in published.items() if one.digest == digest), reverse=True):
        try:
            verify_files(home / str(number), published[number].files)
            return number
        except StageError as error:
            progress.warning(f"version {number} holds the same package but was altered: {error.message}")
    return None


def _publish(home: Path, package: Path, manifest: PackageManifest, progress: Progress) -> int:
    while True:
        number = max((int(path.name) for path in home.iterdir() if path.name.isdecimal()), default=0) + 1
        try:
            with new_folder(home / str(number)) as folder:
                _copy(package, folder, manifest, progress)
            _sync(home)
            return number
        except OSError as error:
            # Where the lock does not hold (some network file systems) the rename decides who gets the number.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def _copy(package: Path, folder: Path, manifest: PackageManifest, progress: Progress) -> None:
    names = [*manifest.files, MANIFEST]
    for done, name in enumerate(names, start=1):
        source, target = package / name, folder / name
        if not source.is_file():
            verify_files(package, {name: manifest.files[name]})  # says what is missing
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        _sync(target)
        progress.update(done, len(names), unit="files")
    verify_files(folder, manifest.files)
    for root, _, _ in os.walk(folder):
        _sync(Path(root))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    with (home / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                raise
        yield
