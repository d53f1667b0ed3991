"""Delta Lake tables, in a folder or in object storage: the rows of one version, as one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runwright_components.collect.buckets import open_store
from runwright_components.collect.files import SourceFile, local_path
from runwright_components.collect.transfer import Sign
from runwright_components.contract.config import DeltaConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.addresses import ObjectAddress

if TYPE_CHECKING:
    from deltalake import DeltaTable

LOG = "_delta_log"
_ROWS = 1 << 16  # in memory at a time, for each column file that is read


def delta_files(
    source: Source,
    config: DeltaConfig,
    base: str,
    *,
    scratch: Callable[[], Path],
    limit: int | None,
    progress: Progress,
) -> list[SourceFile]:
    """The rows of a version, in the order of the table's log; columns that a file lacks are null. At most `limit`."""
    from runwright_components.collect.batches import write_batches

    def tell(done: int) -> None:
        progress.update(done, done, unit="rows", message=f"read {source.name}")

    place = _place(source, base)
    with _errors(place, config):
        table = _open(source, config, base, place)
        rows = table.to_pyarrow_dataset()
        target = scratch()
        write_batches(target, rows.schema, rows.to_batches(batch_size=_ROWS), limit, tell)
    return [SourceFile("table.parquet", target, f"{place}, version {table.version()}")]


def delta_signs(source: Source, config: DeltaConfig, base: str) -> list[Sign]:
    """The table's own id and the version that is read."""
    place = _place(source, base)
    with _errors(place, config):
        table = _open(source, config, base, place)
        return [(str(table.metadata().id), table.version())]


def _place(source: Source, base: str) -> str:
    return str(ObjectAddress.parse(source.uri)) if "://" in source.uri else str(local_path(source, base))


def _open(source: Source, config: DeltaConfig, base: str, place: str) -> DeltaTable:
    from deltalake import DeltaTable

    if "://" not in source.uri:
        if not (local_path(source, base) / LOG).is_dir():
            raise _no_table(place)
        return DeltaTable(place, version=config.version)
    address = ObjectAddress.parse(source.uri)
    store = open_store(source, address)
    folder = address.key.rstrip("/")
    if not store.objects(f"{folder}/{LOG}" if folder else LOG):  # and our own words for a key that is wrong
        raise _no_table(place)
    options = {"max_retries": "3", "allow_http": str(store.endpoint.startswith("http://")).lower()}
    known: dict[str, dict[str, str | None]] = {
        "s3": {"aws_endpoint": store.endpoint, "aws_region": source.region},
        "gs": {"google_base_url": store.endpoint},
        "az": {"azure_storage_endpoint": store.endpoint, "azure_storage_account_name": source.account},
    }
    options |= {name: value for name, value in known[address.scheme].items() if value}
    return DeltaTable(f"{address.scheme}://{address.bucket}/{folder}", version=config.version, storage_options=options)


def _no_table(place: str) -> StageError:
    return StageError(
        Reason.SOURCE_NOT_FOUND,
        f"no Delta Lake table lies here: there is no {LOG}",
        where=place,
        cure=f"give the folder that holds {LOG}, or remove `format: delta`",
    )


@contextmanager
def _errors(place: str, config: DeltaConfig) -> Iterator[None]:
    """What deltalake raises, in words that a person can act on."""
    from deltalake.exceptions import DeltaError, DeltaProtocolError

    def error(reason: Reason, message: str, cure: str) -> StageError:
        return StageError(reason, message, where=place, cure=cure)

    try:
        yield
    except DeltaProtocolError as cause:
        cure = "write a plain copy with the engine that made it (REORG TABLE ... APPLY (PURGE), or a new table)"
        raise error(Reason.UNSUPPORTED, f"the table uses what cannot be read here: {_first(cause)}", cure) from cause
    except FileNotFoundError as cause:
        said = f"a file of version {config.version if config.version is not None else 'HEAD'} is gone: {_first(cause)}"
        cure = "it was vacuumed away or never copied; read a newer version, or restore the table"
        raise error(Reason.DATA_UNREADABLE, said, cure) from cause
    except DeltaError as cause:
        if config.version is not None and "not the same as the specified end version" in str(cause):
            said = f"the table has no version {config.version}"
            raise error(Reason.SOURCE_NOT_FOUND, said, "give one of its history, or none for the newest") from cause
        cure = "the table's log is damaged; restore the table, or copy it again"
        raise error(Reason.DATA_UNREADABLE, _first(cause), cure) from cause


def _first(error: Exception) -> str:
    return str(error).splitlines()[0].strip()
