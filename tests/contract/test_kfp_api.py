"""What the API server says and refuses, seen through the generated client: the double must not be kinder."""

from __future__ import annotations

import json
import uuid
from typing import Any

import kfp_server_api
import pytest
from kfp_server_api.exceptions import ApiException

from tests.contract.conftest import Kfp
from tests.contract.kfp_specs import shell


@pytest.fixture
def runs(kfp: Kfp) -> Any:
    return kfp_server_api.RunServiceApi(kfp.sdk())


@pytest.fixture
def experiments(kfp: Kfp) -> Any:
    return kfp_server_api.ExperimentServiceApi(kfp.sdk())


@pytest.fixture(scope="module")
def experiment(kfp: Kfp) -> Any:
    made = {"display_name": f"contract-{uuid.uuid4().hex[:12]}", **_namespace(kfp)}
    return kfp_server_api.ExperimentServiceApi(kfp.sdk()).experiment_service_create_experiment(made)


def _namespace(kfp: Kfp) -> dict[str, str]:
    return {"namespace": kfp.namespace} if kfp.namespace else {}


def _run(kfp: Kfp, experiment: Any, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "display_name": name,
        "experiment_id": experiment.experiment_id,
        "pipeline_spec": shell("exit 0", image=kfp.image),
        "runtime_config": {"parameters": {"text": "hello"}},
        "service_account": kfp.service_account,
        **changes,
    }


def _filter(*predicates: dict[str, Any]) -> str:
    return json.dumps({"predicates": list(predicates)})


def _equals(name: str) -> str:
    return _filter({"operation": "EQUALS", "key": "display_name", "string_value": name})


def test_a_run_has_what_was_given_and_what_the_server_adds(kfp: Kfp, runs: Any, experiment: Any, name: str) -> None:
    made = runs.run_service_create_run(_run(kfp, experiment, name, description="why"))
    assert (made.display_name, made.description, made.experiment_id) == (name, "why", experiment.experiment_id)
    assert (made.service_account, made.storage_state) == (kfp.service_account, "AVAILABLE")
    assert uuid.UUID(made.run_id)
    assert made.created_at.microsecond == 0
    assert made.finished_at is None or made.finished_at.year == 1970
    assert made.state in (None, "PENDING")
    assert made.runtime_config.parameters == {"text": "hello"}
    found = runs.run_service_get_run(made.run_id)
    assert found.pipeline_spec["pipelineInfo"]["name"] == "shell"
    runs.run_service_delete_run(made.run_id)


def test_names_are_not_unique(kfp: Kfp, runs: Any, experiment: Any, name: str) -> None:
    ids = [runs.run_service_create_run(_run(kfp, experiment, name)).run_id for _ in range(2)]
    assert ids[0] != ids[1]
    listed = runs.run_service_list_runs(filter=_equals(name), **_namespace(kfp))
    assert {run.run_id for run in listed.runs} == set(ids)
    assert listed.total_size == 2
    for run_id in ids:
        runs.run_service_delete_run(run_id)


def test_a_list_goes_on_at_its_token(kfp: Kfp, runs: Any, experiment: Any, name: str) -> None:
    ids = [runs.run_service_create_run(_run(kfp, experiment, name)).run_id for _ in range(3)]
    first = runs.run_service_list_runs(
        page_size=2, sort_by="created_at asc", filter=_equals(name), experiment_id=experiment.experiment_id
    )
    assert (len(first.runs), first.total_size) == (2, 3)
    last = runs.run_service_list_runs(
        page_size=2, page_token=first.next_page_token, experiment_id=experiment.experiment_id
    )
    assert [len(last.runs), last.next_page_token] == [1, None]
    assert {run.run_id for run in (*first.runs, *last.runs)} == set(ids)
    for run_id in ids:
        runs.run_service_delete_run(run_id)


def test_an_empty_list_is_an_empty_object(kfp: Kfp, runs: Any, name: str) -> None:
    listed = runs.run_service_list_runs(filter=_equals(name), **_namespace(kfp))
    assert (listed.runs, listed.total_size, listed.next_page_token) == (None, None, None)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"filter": "{"}, "failed to parse valid filter"),
        ({"filter": _filter({"operation": "EQUALS", "key": "colour", "string_value": "x"})}, "unrecognized field"),
        ({"filter": _filter({"operation": "IN", "key": "name", "string_value": "x"})}, "cannot use"),
        ({"sort_by": "colour"}, "nvalid sort"),
        ({"sort_by": "created_at up"}, "sort by format"),
        ({"page_token": "nonsense"}, "nvalid page token"),
        ({"page_size": -1}, "page size"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(kfp: Kfp, runs: Any, query: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiException) as caught:
        runs.run_service_list_runs(**query, **_namespace(kfp))
    assert caught.value.status == 400
    assert words in _said(caught.value)


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"display_name": ""}, 500, "name"),
        ({"pipeline_spec": {"pipelineInfo": {"name": "x"}}}, 500, "pipeline spec is invalid"),
        ({"pipeline_spec": {**shell("exit 0"), "schemaVersion": "9"}}, 500, "pipeline spec is invalid"),
        ({"pipeline_spec": {**shell("exit 0"), "colour": "red"}}, 500, "pipeline spec is invalid"),
        ({"runtime_config": {"parameters": {"other": "x"}}}, 400, "not required by pipeline"),
        ({"runtime_config": {"parameters": {"text": 7}}}, 400, "requires type string"),
        ({"experiment_id": str(uuid.uuid4())}, 404, "not found"),
        ({"colour": "red"}, 400, "unknown field"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(
    kfp: Kfp, runs: Any, experiment: Any, name: str, changes: dict[str, Any], status: int, words: str
) -> None:
    with pytest.raises(ApiException) as caught:
        runs.run_service_create_run({**_run(kfp, experiment, name), **changes})
    assert caught.value.status == status
    assert words in _said(caught.value)


def test_what_does_not_exist_is_not_found_by_its_id(runs: Any) -> None:
    missing = str(uuid.uuid4())
    for call in (
        runs.run_service_get_run,
        runs.run_service_terminate_run,
        runs.run_service_archive_run,
        runs.run_service_delete_run,
    ):
        with pytest.raises(ApiException) as caught:
            call(missing)
        assert caught.value.status == 404
        assert missing in _said(caught.value)
        assert json.loads(caught.value.body)["code"] == 5


def test_an_unknown_path_is_not_found_without_a_word(kfp: Kfp) -> None:
    with pytest.raises(ApiException) as caught:
        kfp.sdk().call_api("/apis/v2beta1/nonsense", "GET", response_type="object")
    assert (caught.value.status, _said(caught.value)) == (404, "Not Found")


def test_only_the_first_termination_is_taken(kfp: Kfp, runs: Any, experiment: Any, name: str) -> None:
    spec = shell("sleep 60", image=kfp.image)
    made = runs.run_service_create_run(_run(kfp, experiment, name, pipeline_spec=spec))
    runs.run_service_terminate_run(made.run_id)
    assert runs.run_service_get_run(made.run_id).state in ("CANCELING", "CANCELED")
    with pytest.raises(ApiException) as caught:
        runs.run_service_terminate_run(made.run_id)
    assert caught.value.status == 400
    runs.run_service_delete_run(made.run_id)


def test_archived_runs_stay_in_the_list(kfp: Kfp, runs: Any, experiment: Any, name: str) -> None:
    made = runs.run_service_create_run(_run(kfp, experiment, name))
    for _ in range(2):
        runs.run_service_archive_run(made.run_id)
    assert runs.run_service_get_run(made.run_id).storage_state == "ARCHIVED"
    listed = runs.run_service_list_runs(filter=_equals(name), **_namespace(kfp))
    assert [run.run_id for run in listed.runs] == [made.run_id]
    runs.run_service_unarchive_run(made.run_id)
    assert runs.run_service_get_run(made.run_id).storage_state == "AVAILABLE"
    runs.run_service_delete_run(made.run_id)


def test_an_experiment_has_its_name_for_itself(kfp: Kfp, experiments: Any, name: str) -> None:
    body = {"display_name": name, **_namespace(kfp)}
    made = experiments.experiment_service_create_experiment(body)
    with pytest.raises(ApiException) as caught:
        experiments.experiment_service_create_experiment(body)
    assert caught.value.status == 409
    assert "already exists" in _said(caught.value)
    listed = experiments.experiment_service_list_experiments(filter=_equals(name), **_namespace(kfp))
    assert [one.experiment_id for one in listed.experiments] == [made.experiment_id]
    experiments.experiment_service_archive_experiment(made.experiment_id)
    assert experiments.experiment_service_get_experiment(made.experiment_id).storage_state == "ARCHIVED"
    experiments.experiment_service_delete_experiment(made.experiment_id)
    with pytest.raises(ApiException) as caught:
        experiments.experiment_service_get_experiment(made.experiment_id)
    assert caught.value.status == 404


def _said(error: Any) -> str:
    return str(json.loads(error.body)["message"])
