"""What a revision leaves in storage for the one after it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from runwright_components import steps
from runwright_components.cluster.former import former_place
from runwright_components.contract.artifacts import Lineage, RawManifest
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import PrepareConfig
from runwright_components.features import load_split
from runwright_components.steps.running import Surroundings
from runwright_components.steps.surroundings import surroundings
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RUN_ID


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"file://{tmp_path}/storage/team/churn/uid"


def _revision(run: ClusterRun, storage: str, number: int) -> ClusterRun:
    there = run.storage.model_copy(update={"uri": f"{storage}/r{number}"})
    return run.model_copy(update={"revision": number, "storage": there})


def _leave(run: ClusterRun, text: str, folder: Path) -> None:
    path = folder / "memory"
    path.write_text(text)
    with surroundings(run.canonical(), RUN_ID):
        Surroundings(None).leave("prepare", "prepared_data", {"sub/memory": path})


def _former(run: ClusterRun) -> str | None:
    with surroundings(run.canonical(), RUN_ID):
        here = Surroundings(None)
        found = here.former("prepare", "prepared_data")
        return None if found is None else (found / "sub" / "memory").read_text()


def test_a_revision_finds_what_the_newest_before_it_left(run: ClusterRun, storage: str, tmp_path: Path) -> None:
    first, second, fourth, tenth = (_revision(run, storage, number) for number in (1, 2, 4, 10))
    assert _former(first) is None
    _leave(first, "one", tmp_path)
    assert _former(first) is None  # another attempt at it begins like the first
    assert _former(second) == "one"
    _leave(fourth, "four", tmp_path)
    assert (_former(second), _former(fourth), _former(tenth)) == ("one", "one", "four")


def test_one_that_left_half_or_nothing_is_passed_over(run: ClusterRun, storage: str, tmp_path: Path) -> None:
    first, second, third = (_revision(run, storage, number) for number in (1, 2, 3))
    _leave(first, "one", tmp_path)
    half = Path(second.storage.uri.removeprefix("file://")) / "left/prepare/prepared_data"
    half.mkdir(parents=True)
    (half / "memory").write_text("cut off")
    found = former_place(third, "prepare", "prepared_data")
    assert found is not None
    assert found.uri.endswith("/r1/left/prepare/prepared_data")
    assert former_place(third, "collect", "raw_data") is None


def test_without_a_cluster_and_a_workspace_there_is_none(tmp_path: Path) -> None:
    here = Surroundings(None)
    here.leave("prepare", "prepared_data", {"memory": tmp_path})
    assert here.former("prepare", "prepared_data") is None


def _prepared(run: ClusterRun, frame: pl.DataFrame, folder: Path) -> tuple[dict[str, set[float]], str]:
    """The values of x in each split, and the page of the data's quality."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    frame.write_parquet(raw / "rows.parquet")
    columns = {name: str(dtype) for name, dtype in frame.schema.items()}
    lineage = Lineage(stage="collect", config="", inputs={})
    digest = f"sha256:{len(frame)}"
    RawManifest(
        digest=digest, rows=len(frame), columns=columns, sources=(), files=("rows.parquet",), lineage=lineage
    ).write(raw)
    given: dict[str, Any] = {
        name: SimpleNamespace(path=str(folder / path), uri="", metadata={})
        for name, path in (("raw_data", "raw"), ("prepared_data", "prepared"), ("data_quality", "page.html"))
    }
    config = PrepareConfig(modality="tabular", task="classification", target="y").canonical()
    with surroundings(run.canonical(), RUN_ID):
        steps.prepare(config=config, base=".", **given)
    rows = frame["x"].to_list()
    splits = {
        name: {rows[row] for row in load_split(folder / "prepared", name).row_id.tolist()}
        for name in ("train", "validation", "test")
    }
    return splits, (folder / "page.html").read_text()


def test_the_next_revision_keeps_the_splits_and_shows_the_drift(
    run: ClusterRun, storage: str, api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNWRIGHT_WORKSPACE", raising=False)
    second, third = (_revision(run, storage, number) for number in (2, 3))
    frame = pl.DataFrame({"x": [float(i) for i in range(200)], "z": ["p", "q"] * 100, "y": ["a", "a", "b", "b"] * 50})
    before, page = _prepared(second, frame, tmp_path / "second")
    assert "0 rows keep the split of the former revision, 200 are new" in page
    more = pl.concat([frame.with_columns(x=pl.col("x") + 200.0), frame]).with_columns(new=pl.int_range(pl.len()) % 7)
    after, page = _prepared(third, more, tmp_path / "third")
    assert all(before[name] <= after[name] for name in before)
    assert "200 rows keep the split of the former revision, 200 are new" in page
    assert "shifted" in page
