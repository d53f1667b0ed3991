"""What a stage read and wrote, as OpenLineage events (openlineage.io, version 2-0-2 of its object model).

An event is built as plain JSON, for the client's package takes half a second to load: on one machine it is appended to
the workspace's `lineage/openlineage.jsonl`; where OPENLINEAGE_URL, or a cluster's administrator, names a server, the
client sends it. Lineage is told beside a stage's work and never fails it.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runwright_components.contract.artifacts import (
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    RawManifest,
    Signature,
    SourceRecord,
)
from runwright_components.contract.evaluation import EVALUATION, Evaluation
from runwright_components.contract.files import file_digest

URL_ENV, KEY_ENV = "OPENLINEAGE_URL", "OPENLINEAGE_API_KEY"
EVENTS = "lineage/openlineage.jsonl"  # in a workspace
NAMESPACE = "runwright"
TIMEOUT = 5.0  # seconds, of a server

_OBJECTS = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs"
_FACETS = "https://openlineage.io/spec/facets"
_SCHEMA = f"{_FACETS}/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet"
_VERSION = f"{_FACETS}/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
_INPUT = f"{_FACETS}/1-0-0/InputStatisticsInputDatasetFacet.json#/$defs/InputStatisticsInputDatasetFacet"
_OUTPUT = f"{_FACETS}/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet"
_PARENT = f"{_FACETS}/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet"

Event = dict[str, Any]


@dataclass(frozen=True)
class Dataset:
    """One input or output. `columns` are types by name."""

    name: str
    digest: str
    rows: int | None = None
    size: int | None = None  # bytes
    files: int | None = None
    columns: Mapping[str, str] | None = None
    namespace: str = NAMESPACE


def events(
    stage: str,
    *,
    run: str,
    began: datetime,
    ended: datetime,
    inputs: tuple[Dataset, ...],
    outputs: tuple[Dataset, ...],
    parent: str | None = None,
) -> tuple[Event, Event]:
    """Start and end of a stage that ended well. `run` names the TrainingRun, `parent` is the id of the pipeline run."""
    facets: dict[str, Any] = {}
    if parent is not None:
        facets["parent"] = {**_facet(_PARENT), "run": {"runId": parent}, "job": {"namespace": NAMESPACE, "name": run}}
    same = {
        "producer": _producer(),
        "schemaURL": f"{_OBJECTS}/RunEvent",
        "run": {"runId": str(uuid.uuid4()), "facets": facets},
        "job": {"namespace": NAMESPACE, "name": f"{run}.{stage}", "facets": {}},
        "inputs": [_dataset(each, "inputFacets", "inputStatistics", _INPUT) for each in inputs],
    }
    written = [_dataset(each, "outputFacets", "outputStatistics", _OUTPUT) for each in outputs]
    return (
        {"eventType": "START", "eventTime": began.isoformat(), **same, "outputs": []},
        {"eventType": "COMPLETE", "eventTime": ended.isoformat(), **same, "outputs": written},
    )


def _dataset(dataset: Dataset, place: str, statistics: str, schema: str) -> dict[str, Any]:
    counted = {"rowCount": dataset.rows, "size": dataset.size, "fileCount": dataset.files}
    known = {name: value for name, value in counted.items() if value is not None}
    facets: dict[str, Any] = {"version": {**_facet(_VERSION), "datasetVersion": dataset.digest}}
    if dataset.columns:
        fields = [{"name": name, "type": kind} for name, kind in dataset.columns.items()]
        facets["schema"] = {**_facet(_SCHEMA), "fields": fields}
    return {
        "namespace": dataset.namespace,
        "name": dataset.name,
        "facets": facets,
        place: {statistics: {**_facet(schema), **known}} if known else {},
    }


@cache
def _producer() -> str:
    return f"https://runwright.dev/{version('runwright')}"


def _facet(schema: str) -> dict[str, str]:
    return {"_producer": _producer(), "_schemaURL": schema}


def written(run: str, outputs: Mapping[str, Path]) -> tuple[tuple[Dataset, ...], tuple[Dataset, ...]]:
    """What a stage wrote, by the manifests in its outputs, and, of collect, the sources that it read."""
    sources: tuple[Dataset, ...] = ()
    found = []
    for artifact, folder in outputs.items():
        if artifact == "raw_data":
            raw = RawManifest.read(folder)
            sources = tuple(source_of(record, raw.columns) for record in raw.sources)
            found.append(Dataset(_name(run, artifact), raw.digest, raw.rows, columns=raw.columns))
        elif artifact == "prepared_data":
            prepared = PreparedManifest.read(folder)
            rows, columns = sum(prepared.rows.values()), _fields(prepared.signature)
            found.append(Dataset(_name(run, artifact), prepared.digest, rows, columns=columns))
        elif artifact == "model":
            model = ModelManifest.read(folder)
            found.append(Dataset(_name(run, artifact), model.digest, columns=_fields(model.signature)))
        elif artifact == "evaluation":
            judged = Evaluation.read(folder, EVALUATION)
            found.append(Dataset(_name(run, artifact), file_digest(folder / EVALUATION), judged.rows))
        elif artifact == "package":
            package = PackageManifest.read(folder)
            found.append(Dataset(_name(run, artifact), package.digest, files=len(package.files)))
    return sources, tuple(found)


def read(run: str, inputs: Mapping[str, str]) -> tuple[Dataset, ...]:
    """The artifacts of earlier stages among what decides a result, by their digests."""
    return tuple(
        Dataset(_name(run, artifact), digest)
        for artifact, digest in inputs.items()
        if artifact in ("raw_data", "prepared_data", "model", "evaluation")
    )


def source_of(record: SourceRecord, columns: Mapping[str, str]) -> Dataset:
    """A source under OpenLineage's names: the place as the namespace, the path as the name; without credentials."""
    parts = urlsplit(record.uri)
    remote = parts.scheme not in ("", "file") and parts.hostname is not None
    port = f":{parts.port}" if remote and parts.port else ""
    return Dataset(
        name=(parts.path.lstrip("/") if remote else parts.path) or record.name,
        digest=record.digest,
        rows=record.rows,
        size=record.bytes,
        files=record.files,
        columns=columns,
        namespace=f"{parts.scheme}://{parts.hostname}{port}" if remote else "file",
    )


def _fields(signature: Signature) -> dict[str, str]:
    return {field.name: field.type for field in signature.inputs}


def _name(run: str, artifact: str) -> str:
    return f"{run}/{artifact}"


def tell(told: Sequence[Event], workspace: Path | None, server: str | None) -> None:
    """Append events to the workspace's file, and send them to the server, if any. Raises what goes wrong there."""
    if workspace is not None:
        path = workspace / EVENTS
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in told).encode())
    if server:
        _send(told, server)


def _send(told: Sequence[Event], url: str) -> None:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    key = os.environ.get(KEY_ENV)
    auth = {"type": "api_key", "apiKey": key} if key else {}
    config = HttpConfig.from_dict({"url": url, "timeout": TIMEOUT, "retry": {"total": 1}, "auth": auth})
    client = OpenLineageClient(transport=HttpTransport(config))
    for each in told:
        client.emit(
            RunEvent(
                eventType=RunState[each["eventType"]],
                eventTime=each["eventTime"],
                producer=each["producer"],
                run=Run(**each["run"]),
                job=Job(**each["job"]),
                inputs=[InputDataset(**one) for one in each["inputs"]],
                outputs=[OutputDataset(**one) for one in each["outputs"]],
            )
        )


def now() -> datetime:
    return datetime.now(UTC)
