"""A registry in object storage: NAME/N/..., where a version counts once its manifest.json is there."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

from pydantic import ValidationError

from runwright_components.contract.artifacts import MANIFEST, PackageManifest, Registration
from runwright_components.contract.files import canonical_json, verify_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.register.index import INDEX, Index
from runwright_components.storage.s3 import Bucket

_CLAIM = ".claim"  # taken with If-None-Match, so that two uploads never share a number


def register_objects(
    bucket: Bucket, prefix: str, name: str, package: Path, manifest: PackageManifest, progress: Progress
) -> Registration:
    """Upload the package under the next free number, its manifest last."""
    verify_files(package, manifest.files)
    published = _published(bucket, prefix, progress)
    same = [number for number, one in published.items() if one.digest == manifest.digest]
    created = not same
    if created:
        number = _claim(bucket, prefix)
        _upload(bucket, f"{prefix}/{number}", package, manifest, progress)
        published[number] = manifest
        bucket.write(f"{prefix}/{INDEX}", canonical_json(Index.of(name, published).model_dump(mode="json")))
    else:
        number = max(same)
    uri = f"s3://{bucket.name}/{prefix}/{number}"
    return Registration(name=name, version=number, uri=uri, digest=manifest.digest, created=created)


def read_manifest(bucket: Bucket, prefix: str) -> PackageManifest:
    """The manifest of the package under `prefix`. Raises StageError when it is missing or of another shape."""
    content = bucket.read(f"{prefix}/{MANIFEST}")
    try:
        return PackageManifest.model_validate_json(content)
    except ValidationError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{MANIFEST} is no manifest of a package: {error.errors()[0]['msg']}",
            where=f"s3://{bucket.name}/{prefix}",
            cure="the version was altered or made by another release; remove it from the registry",
        ) from error


def _published(bucket: Bucket, prefix: str, progress: Progress) -> dict[int, PackageManifest]:
    """The versions that are whole, by number: those half uploaded have no manifest."""
    keys = {info.key for info in bucket.objects(prefix)}
    found = {}
    for folder in bucket.folders(prefix):
        if folder.isdecimal() and f"{prefix}/{folder}/{MANIFEST}" in keys:
            try:
                found[int(folder)] = read_manifest(bucket, f"{prefix}/{folder}")
            except StageError as error:
                progress.warning(f"version {folder} cannot be read: {error.message}")
    return found


def _claim(bucket: Bucket, prefix: str) -> int:
    number = max((int(folder) for folder in bucket.folders(prefix) if folder.isdecimal()), default=0) + 1
    while not bucket.create(f"{prefix}/{number}/{_CLAIM}", uuid.uuid4().bytes):
        number += 1
    return number


def _upload(bucket: Bucket, prefix: str, package: Path, manifest: PackageManifest, progress: Progress) -> None:
    keys = [f"{prefix}/{_CLAIM}"]
    try:
        for done, name in enumerate(manifest.files, start=1):
            keys.append(f"{prefix}/{name}")
            bucket.upload(package / name, keys[-1])
            progress.update(done, len(manifest.files), unit="files")
        if not bucket.create(f"{prefix}/{MANIFEST}", canonical_json(manifest.model_dump(mode="json"))):
            raise StageError(
                Reason.SOURCE_UNAVAILABLE,
                "another process published this version at the same time",
                where=f"s3://{bucket.name}/{prefix}",
                cure="run the register stage again",
            )
    except BaseException:
        with contextlib.suppress(StageError):  # the first failure is the one to tell
            bucket.delete(keys)
        raise
    # The claim stays: without it a rival that listed before the upload could take the number again.
