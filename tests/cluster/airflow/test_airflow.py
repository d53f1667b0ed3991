"""The provider in a real Airflow, against a real API server. The status is written as the operator writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.airflow.conftest import Airflow
from tests.cluster.cli.commands import FAILURE, KIND, RUN, SERVING, UNDER_WAY
from tests.cluster.tier.api import Api
from tests.cluster.tier.processes import Process
from tests.cluster.waiting import eventually
from tests.doubles.runs.objects import NAME, condition, revision, run, status

Put = Callable[[dict[str, Any]], None]
Dag = Callable[..., None]
Found = Callable[..., dict[str, Any]]


@pytest.fixture
def dag(airflow: Airflow, kubeconfig: Path, namespace: str) -> Dag:
    """`dag("waits", epochs=30)`: start it; `airflow.answer()` is its end."""
    return lambda name, **conf: airflow.ask(
        dag=name, conf={"namespace": namespace, "kubeconfig": str(kubeconfig), **conf}
    )


@pytest.fixture
def put(api: Api, namespace: str) -> Put:
    """Write a status, for the generation that is there."""

    def write(found: dict[str, Any]) -> None:
        generation = api.get(*KIND, NAME, namespace)["metadata"]["generation"]
        kept = {"progress": None, "failure": None, "serving": None, **found, "observedGeneration": generation}
        api.merge(*KIND, NAME, {"status": kept}, namespace, subresource="status")

    return write


@pytest.fixture
def there(api: Api, namespace: str) -> Found:
    """`there()`: the TrainingRun, once it is there and `check` holds of it."""

    def found(check: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        def ask() -> dict[str, Any] | None:
            content = api.find(*KIND, NAME, namespace)
            return content if content and check(content) else None

        return eventually(ask, every=0.05)

    return found


def annotation(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda content: name in content["metadata"].get("annotations", {})


def ready(*revisions: dict[str, Any], serving: int) -> dict[str, Any]:
    return status(*revisions, serving=serving, conditions=list(SERVING))


def stalled(reason: str, *revisions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    conditions = [condition("Ready", "False", reason, "why"), condition("Stalled", "True", reason, "why")]
    return status(*revisions, conditions=conditions, **fields)


@pytest.fixture
def existing(api: Api, namespace: str) -> None:
    """A TrainingRun that somebody else applied."""
    api.create(run(namespace=namespace))


def test_airflow_finds_the_provider(airflow: Airflow) -> None:
    airflow.ask(call="providers")
    found = airflow.answer()
    assert found["version"] == "0.1.0"
    assert found["links"] == ["runwright_airflow.links.PipelineLink", "runwright_airflow.links.ServiceLink"]
    assert found["data"]["operators"][0]["python-modules"] == ["runwright_airflow.operators"]


@pytest.mark.parametrize("how", ["waits", "defers"])
def test_a_training_gives_its_model_to_the_next_task(
    airflow: Airflow, dag: Dag, put: Put, there: Found, how: str
) -> None:
    dag(how, epochs=30)
    applied = there()
    assert applied["spec"]["train"]["epochs"] == 30  # the file is a template
    assert {one["manager"] for one in applied["metadata"]["managedFields"]} == {"runwright-airflow"}
    put(status(revision(1, "Running", pipelineRun=RUN), conditions=list(UNDER_WAY)))
    put(ready(revision(1, pipelineRun=RUN), serving=1))
    ended = airflow.answer()
    assert ended["state"] == "success", ended
    xcoms = ended["xcoms"]
    assert xcoms["trains.revision"] == 1
    assert xcoms["trains.metrics"] == {"accuracy": 0.95, "f1Macro": 0.9}
    assert xcoms["reads.return_value"] == f"would score with {xcoms['trains.model_uri']}"
    assert xcoms["trains._link_PipelineLink"] == RUN["url"]
    assert xcoms["trains._link_ServiceLink"] == xcoms["trains.serving_url"]


def test_applying_again_what_is_ready_ends_at_once(
    airflow: Airflow, dag: Dag, api: Api, put: Put, there: Found, namespace: str
) -> None:
    dag("leaves")
    assert airflow.answer()["xcoms"]["trains.return_value"]["revision"] is None
    put(ready(revision(1), serving=1))
    dag("waits")
    assert airflow.answer()["xcoms"]["trains.revision"] == 1
    assert not annotation("runwright.dev/retrain")(there())


def test_each_run_of_a_dag_trains_anew_where_that_is_asked(airflow: Airflow, dag: Dag, put: Put, there: Found) -> None:
    dag("leaves")
    airflow.answer()
    put(ready(revision(1), serving=1))
    dag("retrains")
    asked = there(annotation("runwright.dev/retrain"))["metadata"]["annotations"]["runwright.dev/retrain"]
    put(ready(revision(1), revision(2, request=asked), serving=2))
    ended = airflow.answer()
    assert ended["xcoms"]["trains.revision"] == 2
    assert asked == f"airflow/retrains/trains/{ended['run_id']}"


def test_another_try_trains_anew_what_failed(airflow: Airflow, dag: Dag, put: Put, there: Found) -> None:
    dag("tries")
    there()
    put(stalled("OOMKilled", revision(1, "Failed", failure=FAILURE), failure=FAILURE))
    asked = there(annotation("runwright.dev/retrain"))["metadata"]["annotations"]["runwright.dev/retrain"]
    assert asked.endswith("#2")
    put(ready(revision(1, "Failed"), revision(2, request=asked), serving=2))
    assert airflow.answer()["state"] == "success"


@pytest.mark.parametrize(("how", "state"), [("waits", "Failed"), ("tries", "Rejected")])
def test_a_failure_says_why(airflow: Airflow, dag: Dag, put: Put, there: Found, how: str, state: str) -> None:
    """A model that the gate rejected is not tried again: the same recipe would give it again."""
    dag(how)
    there()
    failure = {"failure": FAILURE} if state == "Failed" else {}
    reason = "OOMKilled" if state == "Failed" else "GateRejected"
    put(stalled(reason, revision(1, state, pipelineRun=RUN, **failure), **failure))
    ended = airflow.answer()
    assert ended["tasks"] == {"trains": "failed", "reads": "upstream_failed"}
    assert ended["xcoms"]["trains._link_PipelineLink"] == RUN["url"]
    why = ended["xcoms"]["trains.why"]
    if state == "Failed":
        for part in (
            "AirflowException: revision 1 failed",
            "train failed: OOMKilled",
            "pod penguins-r2-worker-0",
            "s3://logs/r2",
        ):
            assert part in why
    else:
        assert why == "AirflowFailException: GateRejected: why"


def test_a_manifest_that_makes_no_sense_names_the_field(airflow: Airflow, dag: Dag) -> None:
    wrong = run()
    wrong["spec"]["train"]["epochs"] = 0
    dag("takes", manifest=yaml.safe_dump(wrong))
    assert "spec.train.epochs" in airflow.answer()["xcoms"]["trains.why"]
    local = run()
    local["spec"]["data"]["sources"] = [{"path": "penguins.csv"}]
    dag("takes", manifest=json.dumps(local))
    assert "penguins.csv is a path of this machine, which no pod can read" in airflow.answer()["xcoms"]["trains.why"]


def test_what_another_manager_set_is_not_taken_over(airflow: Airflow, dag: Dag, existing: None) -> None:
    dag("waits", epochs=30)
    why = airflow.answer()["xcoms"]["trains.why"]
    assert "set spec.train.epochs to another value" in why
    assert "AirflowFailException" in why


@pytest.mark.parametrize("how", ["pokes", "watches"])
def test_the_sensor_waits_for_what_others_started(
    airflow: Airflow, dag: Dag, put: Put, existing: None, how: str
) -> None:
    put(status(revision(1, "Running", pipelineRun=RUN), conditions=list(UNDER_WAY)))
    dag(how)
    put(ready(revision(1), serving=1))
    ended = airflow.answer()
    assert ended["state"] == "success"
    assert ended["xcoms"]["trains.model_uri"] == ended["xcoms"]["trains.return_value"]["model_uri"]


@pytest.mark.parametrize("how", ["pokes", "watches"])
def test_the_sensor_of_what_is_not_there(airflow: Airflow, dag: Dag, namespace: str, how: str) -> None:
    dag(how)
    why = airflow.answer()["xcoms"]["trains.why"]
    assert f"there is no TrainingRun penguins in namespace {namespace}" in why


def test_a_run_that_is_deleted_meanwhile(airflow: Airflow, dag: Dag, api: Api, there: Found, namespace: str) -> None:
    dag("defers")
    there()
    api.delete(*KIND, NAME, namespace)
    assert "there is no TrainingRun penguins" in airflow.answer()["xcoms"]["trains.why"]


def test_a_deferred_task_waits_for_an_api_server_that_is_away(
    airflow: Airflow, dag: Dag, put: Put, there: Found, processes: dict[str, Process]
) -> None:
    dag("defers")
    there()
    put(status(revision(1, "Running", pipelineRun=RUN), conditions=list(UNDER_WAY)))
    processes["kube-apiserver"].kill()
    processes["kube-apiserver"].start()
    eventually(lambda: put(ready(revision(1), serving=1)) is None)
    assert airflow.answer()["state"] == "success"
    assert "trying again" in airflow.log.read_text()


def test_a_task_that_is_killed_cancels_the_revision(airflow: Airflow, dag: Dag, put: Put, there: Found) -> None:
    dag("waits")
    there()
    put(status(revision(1, "Running", pipelineRun=RUN), conditions=list(UNDER_WAY)))
    airflow.terminate_task()
    found = there(annotation("runwright.dev/cancel"))
    assert found["metadata"]["annotations"]["runwright.dev/cancel"] == "1"
    put(stalled("Cancelled", revision(1, "Cancelled")))
    assert "revision 1 was cancelled" in airflow.answer()["xcoms"]["trains.why"]


def test_a_deferred_task_whose_time_is_over_cancels_the_revision(
    airflow: Airflow, dag: Dag, put: Put, there: Found
) -> None:
    dag("hurries")
    there()
    put(status(revision(1, "Running", pipelineRun=RUN), conditions=list(UNDER_WAY)))
    assert "has not ended within the time that the task has" in airflow.answer()["xcoms"]["trains.why"]
    assert annotation("runwright.dev/cancel")(there())


def test_a_deferred_task_that_a_person_takes_away_cancels_the_revision(
    airflow: Airflow, put: Put, there: Found, existing: None, kubeconfig: Path, namespace: str
) -> None:
    access = {"kubeconfig": str(kubeconfig), "namespace": namespace}
    put(ready(revision(1), serving=1))
    for cancel in (False, True):
        airflow.ask(kill={"name": NAME, "access": access, "cancel_on_kill": cancel})
        assert airflow.answer() == {}
        assert not annotation("runwright.dev/cancel")(there())  # it has ended
    put(status(revision(1), revision(2, "Running"), conditions=list(UNDER_WAY)))
    airflow.ask(kill={"name": NAME, "access": access, "cancel_on_kill": True})
    assert airflow.answer() == {}
    assert there(annotation("runwright.dev/cancel"))["metadata"]["annotations"]["runwright.dev/cancel"] == "2"


@pytest.fixture
def elsewhere(api: Api) -> Iterator[None]:
    """A TrainingRun in the namespace that the connection names."""
    api.create(run(namespace="default"))
    found = {**ready(revision(1), serving=1), "observedGeneration": 1}
    api.merge(*KIND, NAME, {"status": found}, "default", subresource="status")
    yield
    api.delete(*KIND, NAME, "default")


def test_a_connection_brings_kubeconfig_and_namespace(airflow: Airflow, dag: Dag, elsewhere: None) -> None:
    dag("connects")
    ended = airflow.answer()
    assert ended["state"] == "success"
    assert ended["xcoms"]["trains.namespace"] == "default"
