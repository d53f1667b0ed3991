"""The double of Kubeflow Pipelines in a cluster: it asks who may do what, and its steps have their account's rights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runwright_api.loading import load_object
from runwright_components.contract.cluster import StageRecord, record_name
from runwright_operator.adapters.pipelines import (
    PipelineRunSeen,
    Pipelines,
    PipelinesDenied,
    PipelinesSettings,
    PipelineState,
)
from runwright_pipelines.cluster import Defaults, with_registry
from runwright_pipelines.compiling import pipeline_spec
from tests.cluster.step_cases import ACCOUNT, RECIPE, Case, case
from tests.cluster.tier.api import Api
from tests.cluster.waiting import eventually
from tests.doubles.kfp.access import AUDIENCE
from tests.doubles.kfp.process import Double, running

OPERATOR = "operator"
VERBS = ["get", "list", "create", "terminate", "archive"]


@pytest.fixture(scope="module")
def double(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    options = ("--kubeconfig", str(kubeconfig), "--multi-user", "--check-access", "--pending", "0.1", "--grace", "10")
    with running(tmp_path_factory.mktemp("kfp"), *options) as found:
        yield found


class Runs:
    """Runs of one TrainingRun, started with the rights of an operator in its namespace."""

    def __init__(self, double: Double, case: Case, trainingrun: dict[str, Any], token: Path) -> None:
        self.double = double
        self.case = case
        self._trainingrun = trainingrun
        self._token = token

    def ask(self, question: Callable[[Pipelines], Any], *, token: Path | None = None) -> Any:
        async def asked() -> Any:
            settings = PipelinesSettings(self.double.url, token_file=token or self._token, multi_user=True)
            pipelines = Pipelines(settings)
            try:
                return await question(pipelines)
            finally:
                await pipelines.close()

        return asyncio.run(asked())

    def create(self, name: str, *, account: str = ACCOUNT) -> str:
        """Start a run that the TrainingRun's status names."""
        run, cluster = load_object(self._trainingrun), self.case.run
        place = Defaults(storage=cluster.storage, train_image="x", serve_image="x")
        made: PipelineRunSeen = self.ask(
            lambda pipelines: pipelines.create(
                cluster.namespace,
                name=name,
                experiment=cluster.name,
                spec=pipeline_spec(with_registry(run, place, namespace=cluster.namespace)),
                parameters={"base": ".", "run_name": cluster.name, "cluster": cluster.canonical()},
                service_account=account,
                description="",
            )
        )
        self.case.name_run(made.id)
        return made.id

    def get(self, run_id: str) -> PipelineRunSeen:
        found: PipelineRunSeen = self.ask(lambda pipelines: pipelines.get(run_id))
        return found

    def until_ended(self, run_id: str, seconds: float = 180) -> PipelineRunSeen:
        deadline = time.monotonic() + seconds
        while not (run := self.get(run_id)).state.ended:
            assert time.monotonic() < deadline, run
            time.sleep(0.2)
        return run


@pytest.fixture
def runs(
    double: Double,
    api: Api,
    namespace: str,
    tmp_path: Path,
    smallest: Callable[[str, str], dict[str, Any]],
    as_account: Callable[[str, str], Path],
) -> Iterator[Runs]:
    rbac = "rbac.authorization.k8s.io"
    home = {"name": OPERATOR, "namespace": namespace}
    rules = [{"apiGroups": ["pipelines.kubeflow.org"], "resources": ["runs", "experiments"], "verbs": VERBS}]
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": home})
    api.create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": home, "rules": rules})
    binding = {
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": OPERATOR},
        "subjects": [{"kind": "ServiceAccount", **home}],
    }
    api.create({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": home, **binding})
    token = tmp_path / "token"
    token.write_text(api.token(namespace, OPERATOR, audiences=[AUDIENCE]))
    trainingrun = smallest(namespace, "small")
    trainingrun["spec"]["data"] = {"sources": [{"http": {"url": "https://example.com/data.csv"}}]}
    trainingrun["spec"]["evaluate"] = {"gate": [{"metric": "accuracy", "min": 0.85}]}
    with case(api, namespace, tmp_path, trainingrun, as_account) as made:
        yield Runs(double, made, trainingrun, token)


def test_a_token_needs_the_audience_and_the_right_in_the_namespace(runs: Runs, api: Api, tmp_path: Path) -> None:
    namespace = runs.case.namespace
    assert runs.ask(lambda pipelines: pipelines.find(namespace, "x")) == ()
    with pytest.raises(PipelinesDenied, match="403"):
        runs.ask(lambda pipelines: pipelines.find("default", "x"))
    other = tmp_path / "other"
    for content in (api.token(namespace, OPERATOR), "nonsense"):
        other.write_text(content)
        with pytest.raises(PipelinesDenied, match="401"):
            runs.ask(lambda pipelines: pipelines.find(namespace, "x"), token=other)
    other.write_text(api.token(namespace, ACCOUNT, audiences=[AUDIENCE]))
    with pytest.raises(PipelinesDenied, match="403"):
        runs.ask(lambda pipelines: pipelines.find(namespace, "x"), token=other)


@pytest.mark.slow
def test_a_run_trains_and_serves(runs: Runs) -> None:
    run = runs.until_ended(runs.create("whole"))
    assert (run.state, run.error) == (PipelineState.SUCCEEDED, "")
    for stage in ("collect", "prepare", "train", "evaluate", "package"):
        assert record_of(runs, stage).state == "succeeded"
    evaluate, register, deploy = (record_of(runs, stage) for stage in ("evaluate", "register", "deploy"))
    assert evaluate.result["verdict"] == "passed"
    assert evaluate.result["model_digest"] == register.result["model_digest"] == deploy.result["model_digest"]
    service = runs.case.service()
    assert service
    assert service["metadata"]["annotations"]["runwright.dev/model-digest"] == deploy.result["model_digest"]


@pytest.mark.slow
def test_figures_are_scripted_and_a_rejected_model_is_registered_but_not_served(runs: Runs) -> None:
    runs.double.script({"namespace": runs.case.namespace, "metrics": {"accuracy": 0.5}})
    assert runs.until_ended(runs.create("rejected")).state is PipelineState.SUCCEEDED
    evaluate, register, deploy = (record_of(runs, stage) for stage in ("evaluate", "register", "deploy"))
    assert (evaluate.result["verdict"], register.state, deploy.state) == ("rejected", "succeeded", "skipped")
    assert runs.case.service() is None


@pytest.mark.slow
def test_attempts_at_a_training_end_as_scripted(runs: Runs) -> None:
    killed = {"exit_code": 137, "reason": "OOMKilled", "message": "too much"}
    preempted = {"run_ms": 600_000, "preempt_after_ms": 1500}
    runs.double.script({"namespace": runs.case.namespace, "pods": [killed, preempted, {"run_ms": 300}]})
    run_id = runs.create("bumpy")
    assert runs.until_ended(run_id).state is PipelineState.SUCCEEDED
    train = record_of(runs, "train")
    assert (train.state, train.failures, train.preemptions) == ("succeeded", 1, 1)


@pytest.mark.slow
def test_a_terminated_training_leaves_no_pods(runs: Runs, api: Api) -> None:
    runs.double.script({"namespace": runs.case.namespace, "pods": [{"run_ms": None}]})
    run_id = runs.create("endless")
    labels = f"training.kubeflow.org/job-name={record_name('small', 1)}"
    eventually(lambda: api.list("v1", "Pod", runs.case.namespace, labels=labels), 120)
    runs.case.name_run(run_id, state="Cancelled")  # the operator does, before it terminates
    runs.ask(lambda pipelines: pipelines.terminate(run_id))
    assert runs.until_ended(run_id).state is PipelineState.CANCELED
    eventually(lambda: runs.case.job() is None, 60)
    eventually(lambda: not api.list("v1", "Pod", runs.case.namespace, labels=labels), 60)


@pytest.mark.slow
def test_a_step_without_its_account_fails_the_run(runs: Runs) -> None:
    run = runs.until_ended(runs.create("no-account", account="nobody"))
    assert run.state is PipelineState.FAILED
    (kept,) = [one for one in runs.double.runs() if one["id"] == run.id]
    assert 'serviceaccounts "nobody" not found' in kept["error"]


def test_a_stage_fails_with_the_scripted_fault(runs: Runs) -> None:
    fault = {"reason": "DataInvalid", "message": "the column price is empty"}
    runs.double.script({"namespace": runs.case.namespace, "recipe": RECIPE, "failing": {"prepare": {"fault": fault}}})
    run = runs.until_ended(runs.create("bad-data"))
    assert run.state is PipelineState.FAILED
    assert "the column price is empty" in run.error
    found = record_of(runs, "prepare").fault
    assert found is not None
    assert found.reason == "DataInvalid"


def record_of(runs: Runs, stage: str) -> StageRecord:
    record = runs.case.record(stage)
    assert record is not None
    return record
