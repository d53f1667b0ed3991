"""Logs and made rows from the YAML to the step that reads them, and which of them a cluster can reach."""

from __future__ import annotations

from typing import Any

from runwright_components.contract.config import (
    ExcelOptions,
    FeedbackConfig,
    IncrementalConfig,
    LogConfig,
    SyntheticConfig,
)
from runwright_operator.reading import read_run
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import S3_KEYS, with_secrets

from .test_secrets import executors
from .test_sql_sources import raw, run

LOGS = {"s3": {"uri": "s3://logs/web/", "endpoint": "http://store:9000", "secretRef": {"name": "store"}}}


def lowered(source: dict[str, Any]) -> Any:
    return lower(run(source)).collect.sources[0]


def test_logs_are_read_from_a_path_or_from_object_storage() -> None:
    here = lowered({"logs": {"path": "logs", "layout": "common", "maxUnmatched": 0.2}})
    assert (here.uri, here.logs) == ("logs", LogConfig(layout="common", max_unmatched=0.2))
    there = lowered({"logs": {**LOGS, "grok": "%{IP:x}"}})
    assert (there.uri, there.endpoint, there.logs) == ("s3://logs/web/", "http://store:9000", LogConfig(grok="%{IP:x}"))


def test_the_step_that_reads_logs_gets_the_keys() -> None:
    made = run({"logs": {**LOGS, "layout": "json"}})
    (found,) = executors(with_secrets(pipeline_spec(made), made, None)).values()
    first = found["secretAsEnv"][0]
    assert first["secretName"] == "store"
    assert tuple(one["envVar"] for one in first["keyToEnv"]) == S3_KEYS


def feedback(**predictions: Any) -> list[dict[str, Any]]:
    told = {"labels": "labels", "label": "species", "time": "seen", "within": "30d", "predictions": predictions}
    return [{"feedback": told}, {"name": "labels", "http": {"url": "https://data.example.com/labels.csv"}}]


def test_feedback_is_lines_of_json_with_the_labels_of_another_source() -> None:
    rules = FeedbackConfig(labels="labels", key="id", label="species", time="seen", within_seconds=30 * 86400)
    found = lower(run(*feedback(path="log"))).collect
    asked = found.sources[0]
    assert (asked.uri, asked.format, asked.feedback, found.beside) == ("log", "jsonl", rules, ("labels",))
    there = run(*feedback(s3=LOGS["s3"]))
    assert lower(there).collect.sources[0].uri == "s3://logs/web/"
    (step,) = executors(with_secrets(pipeline_spec(there), there, None)).values()
    assert step["secretAsEnv"][0]["secretName"] == "store"


def test_what_is_new_is_told_to_the_step() -> None:
    assert lowered({"path": "days", "incremental": {}}).incremental == IncrementalConfig()
    table = {"sql": {"dialect": "postgresql", "table": "orders"}, "incremental": {"cursor": "id"}}
    assert lowered(table).incremental == IncrementalConfig(cursor="id")
    assert lowered({"path": "days"}).incremental is None


def test_made_rows_and_sheets() -> None:
    made = lowered({"synthetic": {"kind": "text", "rows": 5}})
    assert (made.uri, made.synthetic) == ("synthetic://text", SyntheticConfig(kind="text", rows=5))
    sheet = lowered({"path": "a.xlsx", "excel": {"sheet": "Sales", "headerRow": 3}})
    assert sheet.excel == ExcelOptions(sheet="Sales", header_row=3)


def test_a_cluster_reads_no_path_of_logs() -> None:
    _, (told,) = read_run(raw({"logs": {"path": "logs", "layout": "common"}}))
    assert told.startswith("spec.data.sources[0].logs.path")
    assert "logs.s3" in told
    _, (told,) = read_run(raw(*feedback(path="log")))
    assert "give predictions.s3" in told
    assert read_run(raw(*feedback(s3=LOGS["s3"])))[1] == ()
    for source in ({"logs": {**LOGS, "layout": "common"}}, {"synthetic": {"kind": "text"}}):
        assert read_run(raw(source))[1] == ()
