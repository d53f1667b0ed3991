"""OpenLineage events of a stage: what they say, where they go, and that they fail nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.generated import input_statistics_input_dataset as input_statistics
from openlineage.client.generated import output_statistics_output_dataset as output_statistics
from openlineage.client.generated import parent_run, schema_dataset

from runwright_components.contract.artifacts import Lineage, RawManifest, SourceRecord
from runwright_components.contract.cluster import ClusterRun, JobConfig, StorageConfig
from runwright_components.contract.progress import PROGRESS_ENV, silent
from runwright_components.steps import lineage
from runwright_components.steps.running import Surroundings
from runwright_components.steps.surroundings import surroundings

RECORD = SourceRecord(
    name="sales", uri="s3://shop/2024/sales.csv", format="csv", files=1, bytes=99, rows=3, digest="sha256:in"
)
RAW = RawManifest(
    digest="sha256:raw",
    rows=3,
    columns={"a": "String", "b": "Int64"},
    sources=(RECORD,),
    files=(),
    lineage=Lineage(stage="collect", config=""),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PROGRESS_ENV, str(tmp_path / "progress.jsonl"))
    monkeypatch.delenv(lineage.URL_ENV, raising=False)
    return tmp_path / "sales"


def collected(workspace: Path) -> list[dict]:
    """A stage that writes raw data, and the events that it left."""
    out = workspace / "raw"
    Surroundings(workspace, use_cache=False).kept(
        "collect",
        config="sha256:config",
        inputs=lambda: {"sources": "today"},
        outputs={"raw_data": out},
        make=lambda _progress, _key: RAW.write(out) and None,
        say=lambda: "",
    )
    return [json.loads(line) for line in (workspace / lineage.EVENTS).read_text().splitlines()]


def test_a_stage_tells_sources_outputs_rows_digests_and_schema(workspace: Path) -> None:
    start, complete = collected(workspace)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"] == complete["run"]
    assert complete["job"]["name"] == "sales.collect"
    [read], [written] = complete["inputs"], complete["outputs"]
    assert (read["namespace"], read["name"]) == ("s3://shop", "2024/sales.csv")
    assert read["facets"]["version"]["datasetVersion"] == "sha256:in"
    counted = {key: value for key, value in read["inputFacets"]["inputStatistics"].items() if key[0] != "_"}
    assert counted == {"rowCount": 3, "size": 99, "fileCount": 1}
    assert (written["namespace"], written["name"]) == ("runwright", "sales/raw_data")
    assert written["facets"]["version"]["datasetVersion"] == "sha256:raw"
    assert written["facets"]["schema"]["fields"] == [{"name": "a", "type": "String"}, {"name": "b", "type": "Int64"}]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 3


def test_a_later_stage_reads_what_an_earlier_one_wrote() -> None:
    [read] = lineage.read("sales", {"raw_data": "sha256:raw", "code": "x"})
    assert (read.name, read.digest) == ("sales/raw_data", "sha256:raw")


def test_credentials_in_an_address_are_not_told() -> None:
    record = RECORD.model_copy(update={"uri": "postgresql://me:secret@db:5432/shop"})
    dataset = lineage.source_of(record, {})
    assert (dataset.namespace, dataset.name) == ("postgresql://db:5432", "shop")


def test_the_shapes_are_those_of_the_client(workspace: Path) -> None:
    _, complete = collected(workspace)
    read, written = InputDataset(**complete["inputs"][0]), OutputDataset(**complete["outputs"][0])
    for facet, kind in (
        (read.inputFacets["inputStatistics"], input_statistics.InputStatisticsInputDatasetFacet),
        (written.outputFacets["outputStatistics"], output_statistics.OutputStatisticsOutputDatasetFacet),
        (written.facets["schema"], schema_dataset.SchemaDatasetFacet),
    ):
        assert facet["_schemaURL"] == kind._get_schema()
        kind(**{name: value for name, value in facet.items() if not name.startswith("_")})
    run = "0f4b7a52-6d7e-4bd2-8a3c-0c6a0f1f7d11"
    now = lineage.now()
    [event, _] = lineage.events("train", run="sales", began=now, ended=now, inputs=(), outputs=(), parent=run)
    parent = event["run"]["facets"]["parent"]
    assert parent["_schemaURL"] == parent_run.ParentRunFacet._get_schema()
    assert parent["run"] == {"runId": run}


class _Server(HTTPServer):
    got: list[tuple[str, str | None, dict]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, self.headers["Authorization"], body))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as found:
        found.got = []
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_a_server_gets_the_events(workspace: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lineage.URL_ENV, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv(lineage.KEY_ENV, "word")
    told = collected(workspace)
    assert [(path, word) for path, word, _ in server.got] == [("/api/v1/lineage", "Bearer word")] * 2
    assert [body["eventType"] for _, _, body in server.got] == ["START", "COMPLETE"]
    assert server.got[1][2]["outputs"] == told[1]["outputs"]


def test_a_clusters_server_is_the_administrators(
    tmp_path: Path, server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the parameter of the pipeline; the record of the stage needs an API server, the lineage does not."""
    monkeypatch.delenv(lineage.URL_ENV, raising=False)
    run = ClusterRun(
        namespace="team",
        name="sales",
        uid="u",
        revision=1,
        recipe="sha256:recipe",
        storage=StorageConfig(uri=f"file://{tmp_path}/storage"),
        job=JobConfig(image="train"),
        openlineage_url=f"http://127.0.0.1:{server.server_port}",
    )
    RAW.write(tmp_path / "raw")
    with surroundings(run.canonical(), "0f4b7a52-6d7e-4bd2-8a3c-0c6a0f1f7d11"):
        Surroundings(None)._trace("collect", lineage.now(), {}, {"raw_data": tmp_path / "raw"}, silent())
    assert [body["job"]["name"] for _, _, body in server.got] == ["team/sales.collect"] * 2


def test_a_server_that_is_away_is_a_warning(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lineage.URL_ENV, "http://127.0.0.1:9")
    assert len(collected(workspace)) == 2
    told = (workspace.parent / "progress.jsonl").read_text()
    assert "the lineage of collect was not told" in told
    assert '"kind": "done"' in told
