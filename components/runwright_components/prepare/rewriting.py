"""Raw rows written once more, in parts, as a step before the columns are planned changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from runwright_components.contract.artifacts import ROW_ID
from runwright_components.prepare.raw import RawData

_BYTES = 64 * 2**20  # of compressed rows at once
_ROWS = 200_000


def rewritten(data: RawData, folder: Path, change: Callable[[pl.DataFrame, int], pl.DataFrame]) -> RawData:
    """The data as `change(rows, number of the first)` gives them part by part, in files of the new `folder`."""
    folder.mkdir()
    size = sum((data.folder / name).stat().st_size for name in data.manifest.files)
    step = max(1, min(_ROWS, data.rows * _BYTES // max(size, 1)))
    files: list[Path] = []
    for start in range(0, data.rows, step):
        rows = data.source.slice(start, step).collect(engine="streaming")
        files.append(folder / f"{len(files):06}.parquet")
        change(rows, start).write_parquet(files[-1], statistics=False)
    frame = pl.scan_parquet(files, row_index_name=ROW_ID, glob=False)
    return replace(data, frame=frame, source=pl.scan_parquet(files, glob=False))
