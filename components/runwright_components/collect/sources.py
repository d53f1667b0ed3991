"""The kinds of sources: a path on this machine, HTTP(S), object storage, databases.

The clients of the network are imported when needed: they cost half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runwright_components.collect.files import SourceFile, file_sign, local_files
from runwright_components.collect.transfer import Listing, Sign
from runwright_components.collect.volumes import volume_files
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
    if source.iceberg is not None:
        from runwright_components.collect.iceberg.reading import iceberg_files

        return iceberg_files(source, source.iceberg, base, scratch=scratch, limit=limit, progress=progress)
    match _scheme(source.uri):
        case "file":
            return _files(source, base)
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
        case "kafka":
            from runwright_components.collect.kafka.reading import kafka_files

            return kafka_files(source, scratch=scratch, limit=limit, progress=progress)
        case other:
            raise _unknown(other, source)


def source_listing(source: Source, base: str, *, scratch: Callable[[], Path], progress: Progress) -> Listing:
    """The files of a source, of which only some are to be brought here. Raises StageError like `source_files`."""
    match _scheme(source.uri):
        case "file":
            found = _files(source, base)
            return Listing(
                [file_sign(file) for file in found], lambda names: [file for file in found if file.name in names]
            )
        case "s3" | "gs" | "az":
            from runwright_components.collect.buckets import list_objects

            return list_objects(source, scratch=scratch, progress=progress)
        case other:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"{other}:// is read whole each time",
                where=f"{source.name}, incremental",
                cure="remove incremental; it is for path, pvc, s3, gcs, azure and sql",
            )


def source_signs(source: Source, base: str) -> list[Sign]:
    """What changes when the source does: names, sizes, times, ETags. Nothing is read."""
    if source.delta is not None:
        from runwright_components.collect.delta_tables import delta_signs

        return delta_signs(source, source.delta, base)
    if source.iceberg is not None:
        from runwright_components.collect.iceberg.reading import iceberg_signs

        return iceberg_signs(source, source.iceberg, base)
    match _scheme(source.uri):
        case "file":
            return [file_sign(file) for file in _files(source, base)]
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
        case "kafka":
            from runwright_components.collect.kafka.reading import kafka_signs

            return kafka_signs(source)
        case "synthetic":
            from runwright_components.collect.synthetic import VERSION

            return [("synthetic", VERSION)]
        case other:
            raise _unknown(other, source)


def _files(source: Source, base: str) -> list[SourceFile]:
    return local_files(source, base) if source.volume is None else volume_files(source, source.volume)


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
