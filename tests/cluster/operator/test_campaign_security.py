"""Campaign 10 on the real API server: injected texts, pods under Pod Security `restricted`, requests beyond the closed
options, and a secret value that must turn up nowhere."""

from __future__ import annotations

import itertools
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from runwright_components.cluster.manifests import inference_service, pytorch_job
from runwright_components.contract.cluster import ClusterRun, JobConfig, ServiceConfig, StorageConfig, Toleration
from runwright_components.contract.config import ModelConfig, TrainConfig
from tests.cluster.operator.campaigns import FULL
from tests.cluster.operator.runs import Manifest, serves, states
from tests.cluster.operator.world import World
from tests.cluster.tier.api import Api, Refused
from tests.cluster.waiting import eventually
from tests.golden.rendering import VARIANTS, render
from tests.spec.documents import BASE, accepted, manifest, put
from tests.spec.injection import BEYOND, attempts, closed_parts

pytestmark = pytest.mark.slow

RUNS = "/apis/runwright.dev/v1alpha1/namespaces/{}/trainingruns"
DIGEST = "sha256:" + "a" * 64
EVERY = 1 if FULL else 5
"""Of how many one is tried."""
TRAIN = TrainConfig(task="classification", modality="tabular", model=ModelConfig(name="mlp"))


def create(api: Api, namespace: str, spec: Manifest, validation: str = "Strict") -> Manifest:
    """A dry run of the creation."""
    query = {"dryRun": "All", "fieldValidation": validation}
    return dict(api.request("POST", RUNS.format(namespace), manifest(spec), query=query))


def admitted(api: Api, namespace: str, spec: Manifest) -> bool:
    """Raises Refused for an answer that is neither yes nor a reasoned no."""
    try:
        create(api, namespace, spec)
    except Refused as error:
        if error.status not in (400, 422):
            raise
        return False
    return True


def test_injected_texts_at_admission(api: Api, namespace: str) -> None:
    told: Counter[str] = Counter()
    for attempt in itertools.islice(attempts(), 0, None, EVERY):
        passed = admitted(api, namespace, attempt.spec)
        told["refused at admission" if not passed else "taken" if accepted(attempt.spec) else "Accepted=False"] += 1
        if "{{" in attempt.text and attempt.leaf.is_text and attempt.leaf.path[-1] != "{}":
            assert not passed, attempt
    print(f"\ncampaign 10, injected texts: {dict(told)}")
    assert told["refused at admission"] > sum(told.values()) / 2


def test_requests_beyond_the_closed_options(api: Api, namespace: str) -> None:
    places = list(itertools.product(closed_parts(), BEYOND))[::EVERY]
    strict = 0
    for path, name in places:
        spec = put(BASE, (*path, name), {"privileged": True})
        strict += not admitted(api, namespace, spec)
        with suppress(Refused):
            assert name not in json.dumps(create(api, namespace, spec, "Ignore")["spec"]), (path, name)
    print(f"\ncampaign 10, beyond the closed options: {len(places)} tried, {strict} refused, the rest pruned")
    assert strict == len(places)


def switches(count: int) -> Iterator[tuple[bool, ...]]:
    return itertools.product((False, True), repeat=count)


def training_pods(namespace: str) -> Iterator[Manifest]:
    for several, gpus, sized, placed, secret, endpoint in switches(6):
        job = JobConfig(
            image="registry.example/train:1",
            nodes=3 if several else 1,
            gpus_per_node=8 if gpus else 0,
            processes_per_node=8 if gpus else 1,
            cpu="500m" if sized else None,
            memory="1Gi" if sized else None,
            queue="team" if placed else None,
            priority_class="system-cluster-critical" if placed else None,
            node_selector={"gpu": "h100"} if placed else {},
            tolerations=(Toleration(operator="Exists"),) if placed else (),
        )
        storage = StorageConfig(
            uri="s3://models",
            endpoint="http://s3.example" if endpoint else None,
            region="here" if endpoint else None,
            secret="storage" if secret else None,
        )
        run = ClusterRun(
            namespace=namespace, name="churn", uid="u", revision=1, recipe=DIGEST, storage=storage, job=job
        )
        made = pytorch_job(run, config=TRAIN, prepared_uri="s3://models/prepared")
        for kind, replica in made["spec"]["pytorchReplicaSpecs"].items():
            yield pod(f"training-{kind.lower()}", replica["template"])


def serving_pods(namespace: str) -> Iterator[Manifest]:
    for knative, gpus, sized, secret, owned in switches(5):
        service = ServiceConfig(
            mode="Knative" if knative else "Standard",
            image="registry.example/serve:1",
            cpu="500m" if sized else None,
            memory="1Gi" if sized else None,
            gpus=1 if gpus else 0,
            owned=owned,
        )
        storage = StorageConfig(uri="s3://models", secret="storage" if secret else None)
        predictor = inference_service(
            service,
            namespace=namespace,
            name="churn",
            uid="u",
            revision=1,
            recipe=DIGEST,
            package_uri="s3://models/1",
            package_digest=DIGEST,
            model_digest=DIGEST,
            storage=storage,
        )["spec"]["predictor"]
        beside = ("minReplicas", "labels", "annotations")
        spec = {name: value for name, value in predictor.items() if name not in beside}
        yield pod("serving", {"metadata": {"labels": predictor["labels"]}, "spec": spec})


def operator_pods() -> Iterator[Manifest]:
    for home, values in VARIANTS.values():
        for one in yaml.safe_load_all(render(home, values)):
            if one and one["kind"] == "Deployment":
                template = one["spec"]["template"]
                template["spec"].pop("serviceAccountName", None)  # the namespace of the test has no such account
                yield pod("operator", template)


def pod(name: str, template: Manifest) -> Manifest:
    metadata = {**template.get("metadata", {}), "name": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_every_pod_that_we_make_is_restricted(api: Api, namespace: str) -> None:
    eventually(lambda: api.find("v1", "ServiceAccount", "default", namespace), 30)
    made = [*training_pods(namespace), *serving_pods(namespace), *operator_pods()]
    different = {json.dumps(one["spec"], sort_keys=True): one for one in made}
    for one in different.values():
        one["metadata"]["namespace"] = namespace
        api.create(one, dry_run=True)
    privileged = pod("privileged", {"spec": {"containers": [{"name": "a", "image": "a"}]}})
    privileged["metadata"]["namespace"] = namespace
    with pytest.raises(Refused, match="PodSecurity"):
        api.create(privileged, dry_run=True)
    print(f"\ncampaign 10, Pod Security: {len(different)} different pods of {len(made)} option sets meet `restricted`")


def test_a_secret_value_turns_up_nowhere(make_world: Callable[..., World]) -> None:
    """Runs that end well, fail in a step and fail in a pod, both with the value in their last words."""
    values = {name: f"canary{secrets.token_hex(12)}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    headers = {"PARTNER_TOKEN": f"canary{secrets.token_hex(12)}"}
    world = make_world(storage_secret="storage")
    for name, data in (("storage", values), ("partner", headers)):
        metadata = {"name": name, "namespace": world.namespace}
        world.api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
    world.add_operator()
    login, keys = headers["PARTNER_TOKEN"], " ".join(values.values())
    fault = {"reason": "DataInvalid", "message": f"could not log in with {login}", "log": [f"tried {login}"]}
    world.script(
        {"run": "in-data", "failing": {"prepare": {"fault": fault}}},
        {"run": "in-pod", "pods": [{"exit_code": 1, "message": f"Traceback: {keys}"}]},
    )
    http = {
        "url": "https://data.example.com/a.csv",
        "headersFrom": {"X-Token": "PARTNER_TOKEN"},
        "secretRef": {"name": "partner"},
    }
    for name in ("well", "in-data", "in-pod"):
        world.apply(name, data={"sources": [{"http": http}]}, train={"retries": {"failures": 0}})
    world.wait_run("one serves", lambda run: serves(run, 1), "well")
    for name in ("in-data", "in-pod"):
        world.wait_run("one fails", lambda run: states(run) == {1: "Failed"}, name)
    places = dict(everything(world))
    for value in (*values.values(), *headers.values()):
        assert not [place for place, text in places.items() if value in text], value
    print(
        f"\ncampaign 10, secrets: {len(places)} objects, logs and pipeline runs hold none of {len(values) + 1} values"
    )


def everything(world: World) -> Iterator[tuple[str, str]]:
    """Whatever a person may read without reading Secrets. Of a pod its own last words are left out: they are its."""
    kinds = (
        *(("v1", kind) for kind in ("Event", "ConfigMap", "Service")),
        ("events.k8s.io/v1", "Event"),
        ("apps/v1", "Deployment"),
        ("coordination.k8s.io/v1", "Lease"),
        ("kubeflow.org/v1", "PyTorchJob"),
        ("serving.kserve.io/v1beta1", "InferenceService"),
        ("runwright.dev/v1alpha1", "TrainingRun"),
    )
    for api_version, kind in kinds:
        for one in world.api.list(api_version, kind, world.namespace):
            yield f"{kind} {one['metadata']['name']}", json.dumps(one)
    for one in world.api.list("v1", "Pod", world.namespace):
        yield f"Pod {one['metadata']['name']}", json.dumps([one["metadata"], one["spec"]])
    for run in world.kfp.runs():
        simulated = run["name"].startswith("in-data-")  # its step prints what its script says, not we
        if world.namespace in str(run["parameters"].get("cluster", "")) and not simulated:
            yield f"pipeline run {run['name']}", json.dumps(run)
            yield from _files(world.kfp.state, run["id"])
    for operator in world.operators:
        yield f"log of {operator.name}", Path(operator.process.log).read_text()
        yield f"metrics of {operator.name}", operator.metrics()
    for call in world.journal.calls():
        yield f"request {call} {id(call)}", f"{call.path} {call.query} {call.body!r}"


def _files(state: Path, run_id: str) -> Iterator[tuple[str, str]]:
    """What the steps of a pipeline run left: logs, orders, artifacts."""
    for folder in state.rglob(run_id):
        for path in folder.rglob("*"):
            if path.is_file():
                yield str(path), path.read_text(errors="replace")
