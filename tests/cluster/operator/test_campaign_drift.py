"""Campaign 6: children deleted and edited by hand are put right, or the run says why it ended, within 30 s. Where two
write one object, neither undoes what the other did, and a run at rest is left alone."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from tests.cluster.operator.campaigns import FULL, Outcome, report, side_by_side
from tests.cluster.operator.runs import API_VERSION, KIND, Manifest, condition, serves, states, status
from tests.cluster.operator.world import World

pytestmark = pytest.mark.slow

LIMIT = 30.0
REST = 600.0 if FULL else 30.0
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
JOB = ("kubeflow.org/v1", "PyTorchJob")
RECORD = ("v1", "ConfigMap")
ENDLESS = [{"run_ms": None}]

Deed = Callable[[World, str], None]


def delete(world: World, name: str, *, of: tuple[str, str], suffix: str = "") -> None:
    world.api.delete(*of, name + suffix, world.namespace)


def edit(world: World, name: str, *, of: tuple[str, str], change: Manifest, suffix: str = "") -> None:
    world.api.merge(*of, name + suffix, change, world.namespace)


def edit_service(world: World, name: str, **change: Any) -> None:
    """Another image for the server, as `kubectl edit` would write it."""
    service = world.service(name)
    assert service is not None
    containers = [{**service["spec"]["predictor"]["containers"][0], **change}]
    edit(world, name, of=SERVICE, change={"spec": {"predictor": {"containers": containers}}})


def delete_pods(world: World, name: str) -> None:
    for pod in world.api.list("v1", "Pod", world.namespace, labels=f"runwright.dev/run={name}"):
        world.api.delete("v1", "Pod", pod["metadata"]["name"], world.namespace)


def in_kubeflow(world: World, name: str, *, method: str, action: str = "") -> None:
    """What somebody does to the pipeline run on its page."""
    run = status(world.run(name))["revisions"][-1]["pipelineRun"]["id"]
    request = urllib.request.Request(f"{world.kfp.url}/apis/v2beta1/runs/{run}{action}", method=method)
    with urllib.request.urlopen(request, timeout=30):
        pass


def rubbish(world: World, name: str) -> None:
    edit(world, name, of=RECORD, suffix="-r1", change={"data": {"train.json": "{", "register.json": "[[[["}})


SERVING: Mapping[str, Deed] = {
    "service deleted": partial(delete, of=SERVICE),
    "service with another image": partial(edit_service, image="example.com/other:1"),
    "service with another command": partial(edit_service, command=["sleep", "1000"]),
    "service scaled": partial(edit, of=SERVICE, change={"spec": {"predictor": {"minReplicas": 3}}}),
    "service of another digest": partial(
        edit, of=SERVICE, change={"metadata": {"annotations": {"runwright.dev/model-digest": "sha256:0"}}}
    ),
    "service without owner": partial(edit, of=SERVICE, change={"metadata": {"ownerReferences": None}}),
    "service of another run": partial(
        edit, of=SERVICE, change={"metadata": {"labels": {"runwright.dev/run-uid": "other"}}}
    ),
    "deployment deleted": partial(delete, of=("apps/v1", "Deployment"), suffix="-predictor"),
    "serving pods deleted": delete_pods,
    "records deleted": partial(delete, of=RECORD, suffix="-r1"),
    "records overwritten": rubbish,
    "job deleted": partial(delete, of=JOB, suffix="-r1"),
    "pipeline run deleted": partial(in_kubeflow, method="DELETE"),
    "pipeline run archived": partial(in_kubeflow, method="POST", action=":archive"),
}
TRAINING: Mapping[str, Deed] = {
    "job deleted": partial(delete, of=JOB, suffix="-r1"),
    "job suspended": partial(edit, of=JOB, suffix="-r1", change={"spec": {"runPolicy": {"suspend": True}}}),
    "job without labels": partial(
        edit, of=JOB, suffix="-r1", change={"metadata": {"labels": {"runwright.dev/run": None}}}
    ),
    "training pods deleted": delete_pods,
    "records deleted": partial(delete, of=RECORD, suffix="-r1"),
    "records overwritten": rubbish,
    "pipeline run terminated": partial(in_kubeflow, method="POST", action=":terminate"),
    "pipeline run deleted": partial(in_kubeflow, method="DELETE"),
    "pipeline run archived": partial(in_kubeflow, method="POST", action=":archive"),
}


def named(case: str, state: str) -> str:
    return f"{state}-{case}".replace(" ", "-")


def looks(world: World, name: str) -> Manifest | None:
    """The service as we want it; None while it is not ready."""
    service = world.service(name)
    if service is None or service["metadata"].get("deletionTimestamp"):
        return None
    if world.api.condition(service, "Ready").get("status") != "True":
        return None
    predictor = service["spec"]["predictor"]
    container = predictor["containers"][0]
    metadata = service["metadata"]
    return {
        "server": [container[part] for part in ("image", "command")],
        "replicas": predictor["minReplicas"],
        "digest": metadata["annotations"]["runwright.dev/model-digest"],
        "uid": metadata["labels"]["runwright.dev/run-uid"],
        "owners": [owner["uid"] for owner in metadata.get("ownerReferences", ())],
    }


def pods(world: World, name: str) -> list[str]:
    """Names of the pods that run."""
    found = world.api.list("v1", "Pod", world.namespace, labels=f"runwright.dev/run={name}")
    there = [one for one in found if not one["metadata"].get("deletionTimestamp")]
    return [one["metadata"]["name"] for one in there if one["status"].get("phase") == "Running"]


def over(run: Manifest) -> str:
    """The terminal reason; empty while the run goes on."""
    stalled = condition(run, "Stalled")
    return str(stalled["reason"]) if stalled.get("status") == "True" and stalled.get("message") else ""


def while_serving(world: World, case: str) -> Outcome:
    name = named(case, "s")
    before, began = looks(world, name), time.monotonic()
    SERVING[case](world, name)
    time.sleep(1.0)

    def right() -> bool:
        run = world.run(name)
        restored = looks(world, name) == before and serves(run, 1) and bool(pods(world, name))
        return restored or bool(over(run))

    world.wait(f"{case}: put right", right)
    outcome = Outcome(f"serving, {case}: {over(world.run(name)) or 'restored'}", time.monotonic() - began)
    if len(world.pipeline_runs(name)) > 1:
        outcome.problems.append("trained again")
    return outcome


def while_training(world: World, case: str) -> Outcome:
    name, began = named(case, "t"), time.monotonic()
    before = pods(world, name)
    TRAINING[case](world, name)
    time.sleep(1.0)

    def right() -> bool:
        run = world.run(name)
        records = {one["metadata"]["name"]: one.get("data", {}) for one in world.records()}
        told = records.get(f"{name}-r1", {}).get("train.json", "")
        going = bool(world.jobs(name)) and bool(pods(world, name)) and '"running"' in told
        return (going and states(run)[1] == "Running") or bool(over(run)) or bool(waits(run))

    world.wait(f"{case}: put right", right)
    run = world.run(name)
    told = over(run) or waits(run) or "goes on"
    outcome = Outcome(f"training, {case}: {told}", time.monotonic() - began)
    live = [one["state"] for one in world.pipeline_runs(name) if one["state"] in ("PENDING", "RUNNING")]
    if len(live) > 1 or (over(run) and pods(world, name)):
        outcome.problems.append(f"{live} pipeline runs, pods {before} and now {pods(world, name)}")
    return outcome


def waits(run: Manifest) -> str:
    """Why training waits, where a person has to do something."""
    trained = condition(run, "Trained")
    return str(trained["reason"]) if trained.get("reason") == "WaitingForQuota" else ""


def test_children_deleted_and_edited_by_hand(world: World) -> None:
    world.script(*({"run": named(case, "t"), "pods": ENDLESS} for case in TRAINING))
    for case in TRAINING:
        world.apply(named(case, "t"))
    for case in SERVING:
        world.apply(named(case, "s"))
    for case in SERVING:
        world.wait_run("it serves", lambda run: serves(run, 1), named(case, "s"))
    for case in TRAINING:
        world.wait("it trains", partial(pods, world, named(case, "t")))
    outcomes = side_by_side(SERVING, partial(while_serving, world))
    outcomes += side_by_side(TRAINING, partial(while_training, world))
    report("campaign 6, children deleted and edited by hand", outcomes, limit=LIMIT)


def test_two_field_managers_and_no_write_at_rest(make_world: Callable[..., World]) -> None:
    world = make_world(relist_seconds="15")
    operator = world.add_operator()
    world.apply("rests")
    world.wait_run("it serves", lambda run: serves(run, 1), "rests")
    note = {"labels": {"team": "birds"}, "annotations": {"example.com/note": "mine"}}
    metadata = {"name": "rests", "namespace": world.namespace, **note}
    theirs = {"apiVersion": SERVICE[0], "kind": SERVICE[1], "metadata": metadata}
    world.api.apply({**theirs, "spec": {"predictor": {"timeout": 120}}}, manager="kubectl-edit")
    world.api.merge(API_VERSION, KIND, "rests", {"metadata": note}, world.namespace)
    world.wait_run("it serves", lambda run: serves(run, 1), "rests")
    time.sleep(5.0)
    before, began = versions(world), time.monotonic()
    time.sleep(REST)
    writes = world.journal.writes(since=began)
    service = world.service("rests")
    print(f"\ncampaign 6, at rest for {REST:.0f} s: {len(writes)} writes, {operator.cpu():.1f} s of CPU in all")
    assert [str(call) for call in writes] == []
    assert versions(world) == before
    assert service is not None
    assert service["spec"]["predictor"]["timeout"] == 120
    assert service["metadata"]["labels"]["team"] == world.run("rests")["metadata"]["labels"]["team"] == "birds"


def versions(world: World) -> dict[str, Any]:
    """Who wrote last, whoever it was. KServe renews the status of the service: there managers count."""
    kinds = ((API_VERSION, KIND), JOB, RECORD)
    found = [(kind[1], one["metadata"]) for kind in kinds for one in world.api.list(*kind, world.namespace)]
    told: dict[str, Any] = {f"{kind} {metadata['name']}": metadata["resourceVersion"] for kind, metadata in found}
    service = world.service("rests")
    assert service is not None
    writers = [one for one in service["metadata"]["managedFields"] if one.get("subresource") != "status"]
    told["service"] = [service["metadata"]["generation"], *((one["manager"], one["time"]) for one in writers)]
    return told
