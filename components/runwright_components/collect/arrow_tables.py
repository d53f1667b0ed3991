"""Arrow IPC (files, which Feather 2 is, and streams) and ORC as lazy frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from runwright_components.contract.outcome import Reason, StageError

_FILE = b"ARROW1"
_FEATHER_1 = b"FEA1"


def scan_arrow(path: Path, *, display: str, scratch: Callable[[], Path]) -> pl.LazyFrame:
    """A lazy frame over an Arrow file; a stream, which cannot be read from its middle, is rewritten batch by batch."""
    with path.open("rb") as file:
        head = file.read(len(_FILE))
    if head.startswith(_FEATHER_1):
        raise StageError(
            Reason.DATA_UNREADABLE,
            "Feather of version 1 is not read",
            where=display,
            cure="write it again with pyarrow.feather.write_feather, whose default is version 2",
        )
    import pyarrow as pa

    with whole(display, "Arrow"):
        if head == _FILE:
            with pa.memory_map(str(path)) as mapped:
                refuse_repeated(pa.ipc.open_file(mapped).schema.names, display)
            frame = pl.scan_ipc(path, glob=False, hive_partitioning=False)
            frame.collect_schema()
            return frame
        with pa.OSFile(str(path)) as opened, pa.ipc.open_stream(opened) as stream:
            return rewritten(stream.schema, stream, scratch(), display)


def scan_orc(path: Path, *, display: str, scratch: Callable[[], Path]) -> pl.LazyFrame:
    """A lazy frame over an ORC file, rewritten stripe by stripe."""
    from pyarrow import orc

    with whole(display, "ORC"):
        file = orc.ORCFile(str(path))
        return rewritten(file.schema, (file.read_stripe(number) for number in range(file.nstripes)), scratch(), display)


def refuse_repeated(names: Iterable[str], where: str) -> None:
    """Raise StageError where two columns have one name."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise repeated_name(f"{', '.join(map(repr, repeated[:10]))} names more than one column", where)


def repeated_name(message: str, where: str) -> StageError:
    return StageError(Reason.DATA_INVALID, message, where=where, cure="give each column a name of its own")


def rewritten(schema: Any, batches: Iterable[Any], target: Path, display: str) -> pl.LazyFrame:
    """A lazy frame over `batches` (pyarrow) of `schema`, written to `target` one by one."""
    from pyarrow import parquet

    refuse_repeated(schema.names, display)
    with parquet.ParquetWriter(str(target), schema, write_statistics=False, store_schema=False) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return pl.scan_parquet(target, glob=False)


@contextmanager
def whole(display: str, kind: str) -> Iterator[None]:
    """Turn what the libraries say of a broken file into a StageError; pyarrow's errors are OSError and ValueError."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not a whole {kind} file: {(str(error).splitlines() or [type(error).__name__])[0]}",
            where=display,
            cure="the file is truncated or corrupt; copy or write it again",
        ) from error
