"""In a pod, HTTP sources reach public addresses and what the administrator allows; nothing of the cluster."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runwright_components.cluster.records import read_record
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.step import execute
from tests.doubles.kubernetes_api import KubernetesApi

from .conftest import RECORD_PATH, RUN_ID


def _collect(run: ClusterRun, url: str, out: Path) -> None:
    execute(
        "collect",
        cluster=run.canonical(),
        run_id=RUN_ID,
        config=CollectConfig(sources=(Source(name="s", uri=url),)).canonical(),
        base=".",
        raw_data=SimpleNamespace(path=str(out), uri="", metadata={}),
    )


def test_what_is_not_public_is_refused_with_the_administrators_part(
    run: ClusterRun, api: KubernetesApi, web: Any, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        _collect(run, web.serve("/a.csv", b"a\n1\n"), tmp_path / "raw")
    record = read_record(api.objects[RECORD_PATH], "collect")
    assert record is not None
    assert record.fault is not None
    assert (caught.value.code, record.fault.reason) == (10, "SourceDenied")
    assert "127.0.0.1 is not a public address" in record.fault.message
    assert "run.sources.allowed" in record.fault.cure
    assert not web.seen


def test_what_the_administrator_allows_is_read(run: ClusterRun, api: KubernetesApi, web: Any, tmp_path: Path) -> None:
    allowed = run.model_copy(update={"sources_allowed": ("127.0.0.0/8",)})
    _collect(allowed, web.serve("/a.csv", b"a\n1\n"), tmp_path / "raw")
    assert RawManifest.read(tmp_path / "raw").rows == 1
