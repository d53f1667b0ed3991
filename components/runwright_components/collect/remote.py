"""Sources elsewhere: their files brought to this machine, and the signs by which a change is seen."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from runwright_components.collect.files import SourceFile, file_format
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.addresses import S3Address
from runwright_components.storage.http import Facts, Request, download, inspect
from runwright_components.storage.s3 import Bucket, ObjectInfo

_SUFFIX_OF_TYPE = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}
_WORKERS = 8
Sign = tuple[str | int, ...]


class _Downloaded:
    """Counts bytes from several threads into one progress."""

    def __init__(self, progress: Progress, source: str, total: int | None) -> None:
        self._progress, self._message, self._total = progress, f"download {source}", total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int, total: int | None = None) -> None:
        with self._lock:
            self._done += size
            self._progress.update(self._done, self._total or total, unit="bytes", message=self._message)


# ---------------------------------------------------------------- HTTP


def http_files(source: Source, *, scratch: Callable[[], Path], progress: Progress) -> list[SourceFile]:
    """The one file at the source's URL."""
    if source.format in ("images", "text"):
        raise StageError(
            Reason.INVALID_CONFIG,
            f"format {source.format} reads a folder, and HTTP gives one file",
            where=source.name,
            cure="copy the class folders to a local path or to object storage (s3)",
        )
    request = _request(source)
    target = scratch()
    facts = download(request, target, on_bytes=_Downloaded(progress, source.name, None).add)
    if facts.content_type == "text/html":
        raise StageError(
            Reason.DATA_UNREADABLE,
            "the server answered with an HTML page",
            where=request.place,
            cure="give the address of the file itself; a log-in may be needed (http.headersFrom)",
        )
    return [SourceFile(_http_name(request, facts), target, request.place)]


def http_signs(source: Source) -> list[Sign]:
    """ETag, Last-Modified and length; something new each time when the server tells neither of the first two."""
    facts = inspect(_request(source))
    known = facts.etag or facts.last_modified
    return [(facts.etag, facts.last_modified, facts.length or 0, "" if known else uuid.uuid4().hex)]


def _request(source: Source) -> Request:
    return Request(source.uri, _headers(source, os.environ), source.timeout_seconds)


def _headers(source: Source, environment: Mapping[str, str]) -> dict[str, str]:
    missing = sorted(name for name in source.headers_env.values() if name not in environment)
    if missing:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the environment variable {missing[0]} is not set",
            where=source.name,
            cure=f"export {missing[0]}, or remove it from http.headersFrom",
        )
    return {header: environment[name] for header, name in source.headers_env.items()}


def _http_name(request: Request, facts: Facts) -> str:
    name = PurePosixPath(unquote(urlsplit(request.url).path)).name or "download"
    return name if file_format(name) else name + _SUFFIX_OF_TYPE.get(facts.content_type, "")


# ---------------------------------------------------------------- S3


def s3_files(source: Source, *, scratch: Callable[[], Path], progress: Progress) -> list[SourceFile]:
    """The objects that the URI names, downloaded side by side; names are relative to the prefix."""
    bucket, found = _s3_objects(source)
    counted = _Downloaded(progress, source.name, sum(info.size for _, info in found))
    targets = [scratch() for _ in found]
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [
            pool.submit(bucket.download, info.key, target, on_bytes=counted.add)
            for (_, info), target in zip(found, targets, strict=True)
        ]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [
        SourceFile(name, target, f"s3://{bucket.name}/{info.key}")
        for (name, info), target in zip(found, targets, strict=True)
    ]


def s3_signs(source: Source) -> list[Sign]:
    _, found = _s3_objects(source)
    return [(name, info.size, info.etag, info.modified) for name, info in found]


def _s3_objects(source: Source) -> tuple[Bucket, list[tuple[str, ObjectInfo]]]:
    """(name, object) of one object, of all under a prefix, or of all that match a pattern; sorted by name."""
    address = S3Address.parse(source.uri)
    bucket = Bucket(address.bucket, endpoint=source.endpoint, region=source.region, timeout=source.timeout_seconds)
    prefix, pattern = _split_key(address.key)
    if pattern is None and prefix and not prefix.endswith("/"):
        info = bucket.info(prefix)
        if info is not None:
            return bucket, [(PurePosixPath(info.key).name, info)]
    root = f"{prefix.rstrip('/')}/" if prefix else ""
    named = [(info.key.removeprefix(root), info) for info in bucket.objects(root)]
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
    return bucket, sorted(found, key=lambda pair: pair[0])


def _split_key(key: str) -> tuple[str, re.Pattern[str] | None]:
    """The folder above the first glob character, and the pattern under it; None when there is none."""
    first = re.search(r"[*?\[]", key)
    if first is None:
        return key, None
    folder, _, _ = key[: first.start()].rpartition("/")
    rest = key[len(folder) + 1 :] if folder else key
    return folder, re.compile(_glob_regex(rest))


def _glob_regex(pattern: str) -> str:
    """`*` and `?` stay within a folder, `**/` goes through any number of folders."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        meaning.get(part)
        or (part.replace("[!", "[^") if part.startswith("[") and part.endswith("]") else re.escape(part))
        for part in parts
    )
