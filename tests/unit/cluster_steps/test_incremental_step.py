"""In a cluster, a revision reads on from what the one before it left in the run's storage."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from runwright_components import steps
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import CollectConfig, IncrementalConfig, Source
from runwright_components.steps.surroundings import surroundings
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RUN_ID


def _collected(run: ClusterRun, number: int, folder: Path) -> list[str]:
    storage = run.storage.model_copy(update={"uri": f"file://{folder}/storage/team/churn/uid/r{number}"})
    revision = run.model_copy(update={"revision": number, "storage": storage})
    raw = SimpleNamespace(path=str(folder / f"raw-{number}"), uri="", metadata={})
    config = CollectConfig(sources=(Source(name="days", uri="days", incremental=IncrementalConfig()),))
    with surroundings(revision.canonical(), RUN_ID):
        steps.collect(config=config.canonical(), base=str(folder), raw_data=raw)
    return pl.read_parquet(Path(raw.path) / "data" / "*.parquet")["x"].to_list()


def test_the_rows_that_were_read_come_from_storage(
    run: ClusterRun, api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNWRIGHT_WORKSPACE", raising=False)
    (tmp_path / "days").mkdir()
    (tmp_path / "days/1.csv").write_text("x\n1\n")
    assert _collected(run, 1, tmp_path) == ["1"]
    kept = tmp_path / "storage/team/churn/uid/r1/left/collect/raw_data"
    assert sorted(path.name for path in kept.iterdir()) == [".index.json", "data", "incremental.json"]
    (tmp_path / "days/0.csv").write_text("x\n0\n")
    assert _collected(run, 2, tmp_path) == ["0", "1"]
    torn = tmp_path / "storage/team/churn/uid/r2/left/collect/raw_data/data/00000.parquet"
    torn.write_bytes(b"torn")
    (tmp_path / "days/2.csv").write_text("x\n2\n")
    assert _collected(run, 3, tmp_path) == ["0", "1", "2"], "all is read again, and the revision does not fail"
