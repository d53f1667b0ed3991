"""Where a source's files are: on this machine, or brought to it from HTTP or object storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runwright_components.collect.files import SourceFile, local_files
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress


def scheme(uri: str) -> str:
    """`file`, `http`, `s3`, ...; a plain path is `file`."""
    head, mark, _ = uri.partition("://")
    return head.lower() if mark else "file"


def source_files(source: Source, base: str, *, scratch: Callable[[], Path], progress: Progress) -> list[SourceFile]:
    """The files of a source, sorted by name. Raises StageError when the source cannot be reached."""
    match scheme(source.uri):
        case "file":
            return local_files(source, base)
        case other:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"{other}:// is no kind of source",
                where=source.name,
                cure="use a path, http(s):// or s3://",
            )


def public_uri(source: Source) -> str:
    """The source's URI as it may stand in messages and manifests: without a user, a password or a query."""
    return source.uri
