"""Sources behind HTTP(S): the file brought to this machine, and the signs by which a change is seen."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from runwright_components.collect.files import SourceFile, file_format
from runwright_components.collect.transfer import Downloaded, Sign
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.http import Facts, Request, download, inspect
from runwright_components.storage.reach import Reach

_SUFFIX_OF_TYPE = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}


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
    facts = download(request, target, on_bytes=Downloaded(progress, source.name, None).add)
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
    reach = Reach(private=source.reach.private, allowed=source.reach.allowed)
    return Request(source.uri, _headers(source, os.environ), source.timeout_seconds, reach)


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
