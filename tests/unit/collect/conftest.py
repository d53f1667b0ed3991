from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runwright_components.collect import collect
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event, Progress


class Workplace:
    """A folder of source files, and the collect stage run on it."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "sources"
        self.out = root / "artifacts" / "raw"
        self.events: list[Event] = []
        self.sources.mkdir()

    def write(self, files: Mapping[str, bytes | str]) -> None:
        for name, content in files.items():
            path = self.sources / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def config(self, *uris: str, max_rows: int | None = None, **options: Any) -> CollectConfig:
        sources = tuple(Source(name=f"source-{index}", uri=uri, **options) for index, uri in enumerate(uris))
        return CollectConfig(sources=sources, base=str(self.sources), max_rows=max_rows)

    def collect(self, *uris: str, max_rows: int | None = None, **options: Any) -> RawManifest:
        config = self.config(*uris, max_rows=max_rows, **options)
        return collect(config, out=self.out, progress=Progress("collect", self.events.append))

    def rows(self, manifest: RawManifest) -> list[dict[str, Any]]:
        return pl.concat([pl.read_parquet(self.out / name, glob=False) for name in manifest.files]).to_dicts()

    def refusal(self, *uris: str, **options: Any) -> StageError:
        """The error of collecting, after seeing that it left nothing behind."""
        with pytest.raises(StageError) as caught:
            self.collect(*uris, **options)
        assert not self.out.exists()
        assert not self.out.parent.exists() or list(self.out.parent.iterdir()) == []
        assert caught.value.cure, "every refusal says how to mend it"
        return caught.value


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)
