"""Campaign 5: the object, or its whole namespace, is deleted in every phase, with the operator up or down. Nothing is
left behind but, by policy, the served model; the finalizer is gone within 30 s of the operator being there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.cluster.operator import rights
from tests.cluster.operator.campaigns import Outcome, report
from tests.cluster.operator.runs import Manifest, condition, serves, states, status
from tests.cluster.operator.world import World

pytestmark = pytest.mark.slow

LIMIT = 30.0
AFTERWARDS = 60.0  # for garbage collection, which is not the operator's
LONG = 600
LIVE = ("PENDING", "RUNNING", "CANCELING", "PAUSED")


class Phase(NamedTuple):
    """How a TrainingRun gets into a phase, and how that is seen. `script` says how its steps behave."""

    there: Callable[[World, str], Any]
    script: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] = {}


def record(stage: str) -> Callable[[World, str], bool]:
    """The stage runs."""

    def there(world: World, name: str) -> bool:
        found = [one for one in world.records() if one["metadata"]["name"].startswith(f"{name}-r")]
        return any('"running"' in one.get("data", {}).get(f"{stage}.json", "") for one in found)

    return there


def of_status(check: Callable[[Manifest], Any]) -> Callable[[World, str], Any]:
    return lambda world, name: check(world.run(name))


def serving(world: World, name: str) -> bool:
    return serves(world.run(name), 1)


def retraining(world: World, name: str) -> bool:
    """The second revision trains while the first one serves."""
    run = world.run(name)
    if not serves(run, 1) and states(run).get(1) != "Succeeded":
        return False
    if 2 not in states(run):
        world.annotate(name, retrain="please")
        return False
    return f"{name}-r2" in world.jobs(name)


ENDLESS = {"pods": [{"run_ms": None}]}
PHASES: Mapping[str, Phase] = {
    "pending": Phase(of_status(bool)),
    "submitted": Phase(of_status(lambda run: status(run).get("revisions"))),
    "preparing": Phase(record("prepare"), {"seconds": {"prepare": LONG}}),
    "training": Phase(lambda world, name: world.jobs(name), ENDLESS),
    "evaluating": Phase(record("evaluate"), {"seconds": {"evaluate": LONG}}),
    "registering": Phase(record("register"), {"seconds": {"register": LONG}}),
    "deploying": Phase(record("deploy"), spec={"deploy": {"resources": {"memory": "900Ti"}}}),
    "serving": Phase(serving),
    "kept": Phase(serving, spec={"deploy": {"onDelete": "Keep"}}),
    "retraining": Phase(retraining, {**ENDLESS, "revision": 2}),
    "rejected": Phase(of_status(lambda run: states(run) == {1: "Rejected"}), {"metrics": {"accuracy": 0.1}}),
    "failed": Phase(
        of_status(lambda run: states(run) == {1: "Failed"}),
        {"failing": {"prepare": {"fault": {"reason": "DataInvalid", "message": "no such column"}}}},
    ),
    "suspended": Phase(
        of_status(lambda run: condition(run, "Suspended").get("status") == "True"), spec={"suspend": True}
    ),
}
PASSING = ("submitted", "pending")
"""These are over so soon that they are reached at the very end."""


def reach(world: World) -> None:
    """A TrainingRun of each phase, all of them there at one time."""
    world.script(*({"run": name, **phase.script} for name, phase in PHASES.items() if phase.script))
    lasting = [name for name in PHASES if name not in PASSING]
    for name in lasting:
        world.apply(name, **PHASES[name].spec)
    for name in (*lasting, *PASSING):
        if name in PASSING:
            world.apply(name)
        world.wait(f"{name} is reached", partial(PHASES[name].there, world, name))


def left(world: World, name: str) -> list[str]:
    """What is still there of a TrainingRun that was deleted."""
    labels = f"runwright.dev/run={name}"
    kept = name == "kept"
    kinds = [("kubeflow.org/v1", "PyTorchJob"), ("v1", "ConfigMap")]
    if not kept:
        kinds += [("serving.kserve.io/v1beta1", "InferenceService"), ("v1", "Pod"), ("apps/v1", "Deployment")]
    found = [
        f"{kind} {one['metadata']['name']}"
        for api_version, kind in kinds
        for one in world.api.list(api_version, kind, world.namespace, labels=labels)
    ]
    found += [
        f"pipeline run {one['name']}: {one['state']}" for one in world.pipeline_runs(name) if one["state"] in LIVE
    ]
    service = world.service(name) if kept else None
    if kept and (service is None or world.api.condition(service, "Ready").get("status") != "True"):
        found.append("the service that should be kept is not ready")
    return found


def gone(world: World, began: float, what: str) -> list[Outcome]:
    """How long each took to go, and what it left."""
    ended: dict[str, float] = {}

    def all_gone() -> bool:
        for name in PHASES:
            if name not in ended and not world.run(name):
                ended[name] = time.monotonic() - began
        return len(ended) == len(PHASES)

    world.wait(f"{what}: all are gone", all_gone)
    outcomes = []
    for name in PHASES:
        outcome = Outcome(f"{what}, {name}", ended[name])
        end = time.monotonic() + AFTERWARDS
        while (found := left(world, name)) and time.monotonic() < end:
            time.sleep(0.5)
        outcome.problems += [f"left behind: {one}" for one in found]
        outcomes.append(outcome)
    return outcomes


def test_deleted_in_every_phase(make_world: Callable[..., World]) -> None:
    world = make_world(workers="16")
    world.add_operator()
    reach(world)
    began = time.monotonic()
    for name in PHASES:
        world.delete(name)
    report("campaign 5, operator up", gone(world, began, "up"), limit=LIMIT)


def test_deleted_in_every_phase_while_the_operator_is_down(make_world: Callable[..., World]) -> None:
    world = make_world(workers="16")
    operator = world.add_operator()
    reach(world)
    operator.kill()
    for name in PHASES:
        world.delete(name)
    waiting = [name for name in PHASES if world.run(name)]
    operator.start()
    outcomes = gone(world, time.monotonic(), "down")
    report("campaign 5, operator down", outcomes, limit=LIMIT, waited_for_it=len(waiting))


class Guest(World):
    """A world whose operator lives in another namespace, with rights over the cluster, as the chart installs it."""

    def at_home(self) -> None:
        self.home = f"{self.namespace}-home"
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.home}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(rights.OPERATOR, self.home)}
        self.api.apply(account)
        rbac = "rbac.authorization.k8s.io"
        roles = self.api.list(f"{rbac}/v1", "Role", self.namespace)
        operators = [role for role in roles if role["metadata"]["name"].startswith(rights.OPERATOR)]
        rules = [rule for role in operators for rule in role["rules"]]
        self.api.apply(
            {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": _named(self.home), "rules": rules}
        )
        self.api.apply(
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": _named(self.home),
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": self.home},
                "subjects": [{"kind": "ServiceAccount", "name": rights.OPERATOR, "namespace": self.home}],
            }
        )

    def token(self) -> str:
        return self.api.token(self.home, rights.OPERATOR)

    def close(self) -> None:
        super().close()
        for kind in ("ClusterRole", "ClusterRoleBinding"):
            self.api.delete("rbac.authorization.k8s.io/v1", kind, self.home)
        self.api.delete("v1", "Namespace", self.home)


def _live(world: World) -> dict[str, list[str]]:
    """The states of pipeline runs that have not ended, by TrainingRun: KFP cancels in its own time."""
    states = {name: [one["state"] for one in world.pipeline_runs(name)] for name in PHASES}
    return {name: live for name, found in states.items() if (live := [one for one in found if one in LIVE])}


def _named(name: str, namespace: str | None = None) -> Manifest:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def test_the_namespace_deleted_with_every_phase_in_it(make_world: Callable[..., World]) -> None:
    model = make_world()
    world = Guest(model.cluster, model.kfp, model.folder.parent / f"guest-{secrets.token_hex(3)}", workers="16")
    try:
        world.at_home()
        operator = world.add_operator(pod_namespace=world.home)
        reach(world)
        began = time.monotonic()
        world.api.delete("v1", "Namespace", world.namespace)
        world.wait("no TrainingRun is left", lambda: not any(map(world.run, PHASES)))
        outcome = Outcome("namespace", time.monotonic() - began)
        world.wait("nor the namespace", lambda: world.api.find("v1", "Namespace", world.namespace) is None)
        whole = time.monotonic() - began
        end = time.monotonic() + AFTERWARDS
        while (live := _live(world)) and time.monotonic() < end:
            time.sleep(0.5)
        outcome.problems += [f"{name}: {found} in KFP" for name, found in live.items()]
        if not operator.running or operator.probe("healthz") != 200:
            outcome.problems.append("the operator is not well")
        report(
            "campaign 5, namespace deleted",
            [outcome],
            limit=LIMIT,
            namespace_gone=f"{whole:.0f} s",
            objects=len(PHASES),
        )
    finally:
        world.close()
