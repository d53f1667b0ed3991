"""Columns of sources that expectations look into, kept beside the rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from runwright_components.contract.config.references import ReferenceConfig
from runwright_components.contract.outcome import Reason, StageError

REFERENCES = "references"


def keep(source: Path, rules: ReferenceConfig, folder: Path) -> str:
    """Write the columns of the Parquet file `source` into `folder`; gives the new file's name below it. Raises
    StageError for a column that is not there."""
    frame = pl.scan_parquet(source, glob=False)
    names = frame.collect_schema().names()
    missing = [column for column in rules.columns if column not in names]
    if missing:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"source {rules.source!r} has no column {missing[0]!r}",
            where="prepare.expectations, references",
            cure=f"name one of its columns: {', '.join(names[:20])}",
        )
    name = f"{REFERENCES}/{rules.source}.parquet"
    (folder / REFERENCES).mkdir(exist_ok=True)
    frame.select(rules.columns).sink_parquet(folder / name, statistics=False, maintain_order=True)
    return name
