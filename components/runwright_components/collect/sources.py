"""The kinds of sources: a path on this machine, HTTP(S), object storage, databases.

The clients of the network are imported when needed: they cost half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runwright_components.collect.files import SourceFile, file_sign, local_files
from runwright_components.collect.transfer import Sign
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.addresses import public_url


def source_files(
    source: Source, base: str, *, scratch: Callable[[], Path], limit: int | None = None, progress: Progress
) -> list[SourceFile]:
    """The files of a source on this machine, sorted by name; remote ones are brought to `scratch` paths.

    `limit` is how many rows at most will be read: where rows are asked for, no more are.
    Raises StageError when the source cannot be found, reached or read.
    """
    if source.delta is not None:
        from runwright_components.collect.delta_tables import delta_files

        return delta_files(source, source.delta, base, scratch=scratch, limit=limit, progress=progress)
    match _scheme(source.uri):
        case "file":
            return local_files(source, base)
        case "http" | "https":
            from runwright_components.collect.remote import http_files

            return http_files(source, scratch=scratch, progress=progress)
        case "s3" | "gs" | "az":
            from runwright_components.collect.buckets import object_files

            return object_files(source, scratch=scratch, progress=progress)
        case "hf":
            from runwright_components.collect.hub import hub_files

            return hub_files(source, scratch=scratch, progress=progress)
        case "sql":
            from runwright_components.collect.sql.reading import sql_files

            return sql_files(source, base, scratch=scratch, limit=limit, progress=progress)
        case other:
            raise _unknown(other, source)


def source_signs(source: Source, base: str) -> list[Sign]:
    """What changes when the source does: names, sizes, times, ETags. Nothing is read."""
    if source.delta is not None:
        from runwright_components.collect.delta_tables import delta_signs

        return delta_signs(source, source.delta, base)
    match _scheme(source.uri):
        case "file":
            return [file_sign(file) for file in local_files(source, base)]
        case "http" | "https":
            from runwright_components.collect.remote import http_signs

            return http_signs(source)
        case "s3" | "gs" | "az":
            from runwright_components.collect.buckets import object_signs

            return object_signs(source)
        case "hf":
            from runwright_components.collect.hub import hub_signs

            return hub_signs(source)
        case "sql":
            from runwright_components.collect.sql.reading import sql_signs

            return sql_signs(source, base)
        case "synthetic":
            from runwright_components.collect.synthetic import VERSION

            return [("synthetic", VERSION)]
        case other:
            raise _unknown(other, source)


def public_uri(source: Source) -> str:
    """The source's URI as it may stand in manifests: nothing secret in it."""
    return source.uri if _scheme(source.uri) == "file" else public_url(source.uri)


def _scheme(uri: str) -> str:
    head, mark, _ = uri.partition("://")
    return head.lower() if mark else "file"


def _unknown(scheme: str, source: Source) -> StageError:
    return StageError(
        Reason.INVALID_CONFIG,
        f"{scheme}:// is no kind of source",
        where=source.name,
        cure="use a path, http(s)://, s3://, gs:// or az://",
    )
