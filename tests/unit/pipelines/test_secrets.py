"""Secrets reach the steps that need them, by name alone."""

import json
from typing import Any

from runwright_api.loading import load_object
from runwright_api.trainingrun import TrainingRun
from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.secrets import clashes, with_secrets


def run(*sources: dict[str, Any], layout: str = "compact") -> TrainingRun:
    return load_object(
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "churn"},
            "spec": {
                "data": {"sources": list(sources)},
                "prepare": {"target": "y"},
                "train": {"task": "tabular-classification"},
                "layout": layout,
            },
        }
    )


def s3(secret: str | None, name: str = "a") -> dict[str, Any]:
    ref = {"secretRef": {"name": secret}} if secret else {}
    return {"name": name, "s3": {"uri": f"s3://data/{name}.csv", **ref}}


def executors(handed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = handed["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return found


def test_without_secrets_the_pipeline_travels_alone() -> None:
    made = run(s3(None))
    assert with_secrets(pipeline_spec(made), made, None) == pipeline_spec(made)


def test_the_data_step_gets_the_sources_and_the_others_the_storage() -> None:
    made = run(s3("source"))
    found = executors(with_secrets(pipeline_spec(made), made, "storage"))
    assert set(found) == {"exec-data", "exec-model"}
    assert [one["secretName"] for one in found["exec-data"]["secretAsEnv"]] == [
        "source",
        "source",
        "storage",
        "storage",
    ]
    assert {one["secretName"] for one in found["exec-model"]["secretAsEnv"]} == {"storage"}
    needed = found["exec-data"]["secretAsEnv"][0]
    assert [one["envVar"] for one in needed["keyToEnv"]] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert needed["optional"] is False


def test_every_layout_has_the_steps_that_need_secrets() -> None:
    made = run(s3("source"), layout="stages")
    found = executors(with_secrets(pipeline_spec(made), made, "storage"))
    assert set(found) == {"exec-collect", "exec-prepare", "exec-train", "exec-register", "exec-deploy"}


def test_a_step_that_reads_sources_gets_the_storages_keys_under_other_names() -> None:
    made = run(s3("source"))
    *_, needed, possible = executors(with_secrets(pipeline_spec(made), made, "storage"))["exec-data"]["secretAsEnv"]
    assert needed["keyToEnv"] == [
        {"secretKey": key, "envVar": f"RUNWRIGHT_STORAGE_{key}"}
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    ]
    assert (needed["optional"], possible["optional"]) == (False, True)


def test_the_step_that_searches_gets_the_address_of_the_studys_database() -> None:
    made = run(s3(None))
    rate = {"name": "learningRate", "type": "float", "min": 0.001, "max": 0.1}
    tune = {"searchSpace": [rate], "backend": "jobs", "storage": {"secretRef": {"name": "study"}}}
    spec = {**made.spec.model_dump(mode="json", by_alias=True, exclude_unset=True), "tune": tune}
    made = load_object({"apiVersion": made.api_version, "kind": made.kind, "metadata": {"name": "churn"}, "spec": spec})
    pipeline = pipeline_spec(made)
    found = executors(with_secrets(pipeline, made, None))
    assert set(found) == {"exec-model"}
    ((study,),) = (found["exec-model"]["secretAsEnv"],)
    assert (study["secretName"], study["optional"]) == ("study", False)
    assert study["keyToEnv"] == [{"secretKey": "url", "envVar": "RUNWRIGHT_STUDY_URL"}]
    assert '"study"' not in json.dumps(pipeline), "no parameter of the pipeline knows of it"


def test_headers_come_from_the_keys_that_are_named() -> None:
    made = run(
        {
            "http": {
                "url": "https://x.org/a.csv",
                "headersFrom": {"Authorization": "TOKEN"},
                "secretRef": {"name": "web"},
            }
        }
    )
    found = executors(with_secrets(pipeline_spec(made), made, None))
    (given,) = found["exec-data"]["secretAsEnv"]
    assert given["keyToEnv"] == [{"secretKey": "TOKEN", "envVar": "TOKEN"}]
    assert "web" not in json.dumps(with_secrets(pipeline_spec(made), made, None)["pipeline_spec"])


def test_two_secrets_for_one_variable_are_a_clash_that_names_the_source() -> None:
    told = next(clashes(run(s3("one", "a"), s3("two", "b"))))
    assert told.startswith("spec.data.sources[1]: AWS_ACCESS_KEY_ID comes from the Secret one already")
    assert not list(clashes(run(s3("one", "a"), s3("one", "b"))))


def test_steps_that_tell_lineage_get_the_key_of_its_server_where_there_is_one() -> None:
    made = run(s3(None), layout="stages")
    found = executors(with_secrets(pipeline_spec(made), made, None, "openlineage"))
    assert set(found) == {f"exec-{step}" for step in ("collect", "prepare", "train", "evaluate", "package")}
    (key,) = found["exec-prepare"]["secretAsEnv"]
    assert (key["secretName"], key["optional"]) == ("openlineage", True)
    assert key["keyToEnv"] == [{"secretKey": "OPENLINEAGE_API_KEY", "envVar": "OPENLINEAGE_API_KEY"}]
