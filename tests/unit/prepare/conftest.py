"""Raw data as collect leaves them, made of a frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runwright_components.contract.artifacts import Lineage, PreparedManifest, RawManifest
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.progress import silent
from runwright_components.prepare import prepare


@pytest.fixture
def write_raw(tmp_path: Path) -> Callable[..., Path]:
    """`write_raw(frame, name="raw", parts=1)` writes raw data and gives their folder."""

    def write(frame: pl.DataFrame, name: str = "raw", parts: int = 1) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        size = -(-len(frame) // parts) if len(frame) else 1
        files = []
        for part in range(parts):
            files.append(f"part-{part}.parquet")
            frame.slice(part * size, size).write_parquet(folder / files[-1])
        RawManifest(
            digest=f"sha256:{name}",
            rows=len(frame),
            columns={column: str(dtype) for column, dtype in frame.schema.items()},
            sources=(),
            files=tuple(files),
            lineage=Lineage(stage="collect", config="", inputs={}),
        ).write(folder)
        return folder

    return write


@pytest.fixture
def prepare_table(tmp_path: Path, write_raw: Callable[..., Path]) -> Callable[..., tuple[Path, PreparedManifest]]:
    """`prepare_table(frame, name="a", **config)` prepares a table; gives the folder and the manifest. `former` is the
    folder that the revision before left."""

    def run(
        frame: pl.DataFrame, name: str = "a", parts: int = 1, former: Path | None = None, **config: Any
    ) -> tuple[Path, PreparedManifest]:
        settings: dict[str, Any] = {"modality": "tabular", "task": "classification", "target": "y", **config}
        out = tmp_path / f"prepared-{name}"
        raw = write_raw(frame, f"raw-{name}", parts)
        parsed = PrepareConfig.model_validate(settings)
        return out, prepare(parsed, raw=raw, out=out, progress=silent(), former=former)

    return run
