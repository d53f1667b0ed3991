"""Sources in object storage (S3, Google Cloud Storage, Azure): objects by key, prefix or pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from runwright_components.collect.files import SourceFile
from runwright_components.collect.patterns import compiled
from runwright_components.collect.transfer import Downloaded, Listing, Sign, side_by_side
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.addresses import ObjectAddress
from runwright_components.storage.objects import ObjectInfo, ObjectStore
from runwright_components.storage.reach import Reach


def object_files(source: Source, *, scratch: Callable[[], Path], progress: Progress) -> list[SourceFile]:
    """The objects that the URI names, downloaded side by side; names are relative to the prefix."""
    store, found = _objects(source)
    return _brought(source, store, found, scratch, progress)


def list_objects(source: Source, *, scratch: Callable[[], Path], progress: Progress) -> Listing:
    """The same, listed and not downloaded."""
    store, found = _objects(source)

    def fetch(names: Collection[str]) -> list[SourceFile]:
        return _brought(source, store, [one for one in found if one[0] in names], scratch, progress)

    return Listing(_signs(found), fetch)


def _brought(
    source: Source,
    store: ObjectStore,
    found: list[tuple[str, ObjectInfo]],
    scratch: Callable[[], Path],
    progress: Progress,
) -> list[SourceFile]:
    counted = Downloaded(progress, source.name, sum(info.size for _, info in found))
    targets = [scratch() for _ in found]
    side_by_side(
        [
            partial(store.download, info.key, target, on_bytes=counted.add)
            for (_, info), target in zip(found, targets, strict=True)
        ]
    )
    return [
        SourceFile(name, target, store.address(info.key)) for (name, info), target in zip(found, targets, strict=True)
    ]


def object_signs(source: Source) -> list[Sign]:
    """Name, size, ETag and time of each object."""
    _, found = _objects(source)
    return _signs(found)


def _signs(found: list[tuple[str, ObjectInfo]]) -> list[Sign]:
    return [(name, info.size, info.etag, info.modified) for name, info in found]


def open_store(source: Source, address: ObjectAddress) -> ObjectStore:
    """The bucket or container that a source names. Raises StageError when its endpoint hands out credentials."""
    if source.endpoint is not None:
        _refuse_metadata_services(source.endpoint, source, str(address))
    if address.scheme == "gs":
        from runwright_components.storage.gcs import GcsBucket

        return GcsBucket(address.bucket, endpoint=source.endpoint, timeout=source.timeout_seconds)
    if address.scheme == "az":
        from runwright_components.storage.azure import AzureContainer

        return AzureContainer(
            address.bucket, account=source.account, endpoint=source.endpoint, timeout=source.timeout_seconds
        )
    from runwright_components.storage.s3 import Bucket

    return Bucket(address.bucket, endpoint=source.endpoint, region=source.region, timeout=source.timeout_seconds)


def _refuse_metadata_services(endpoint: str, source: Source, where: str) -> None:
    """An object's bytes are whatever the endpoint answers, so it must not be one that hands out credentials. Private
    ones are what the field is for."""
    place = urlsplit(endpoint)
    port = place.port or (443 if place.scheme == "https" else 80)
    Reach(allowed=source.reach.allowed).check_known(place.hostname or "", port, where=where)


def _objects(source: Source) -> tuple[ObjectStore, list[tuple[str, ObjectInfo]]]:
    """(name, object) of one object, of all under a prefix, or of all that match a pattern; sorted by name."""
    address = ObjectAddress.parse(source.uri)
    store = open_store(source, address)
    prefix, pattern = _split_key(address.key)
    if pattern is None and prefix and not prefix.endswith("/"):
        info = store.info(prefix)
        if info is not None:
            return store, [(PurePosixPath(info.key).name, info)]
    root = f"{prefix.rstrip('/')}/" if prefix else ""
    named = [(info.key.removeprefix(root), info) for info in store.objects(root)]
    found = [
        (name, info)
        for name, info in named
        if not any(part.startswith(".") for part in name.split("/")) and (pattern is None or pattern.fullmatch(name))
    ]
    if not found:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            "no object has this key, prefix or pattern",
            where=str(address),
            cure="check bucket and key; a prefix names a folder",
        )
    return store, sorted(found, key=lambda pair: pair[0])


def _split_key(key: str) -> tuple[str, re.Pattern[str] | None]:
    """The folder above the first glob character, and the pattern under it; None when there is none."""
    first = re.search(r"[*?\[]", key)
    if first is None:
        return key, None
    folder, _, _ = key[: first.start()].rpartition("/")
    rest = key[len(folder) + 1 :] if folder else key
    return folder, compiled(rest)
