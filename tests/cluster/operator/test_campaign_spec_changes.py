"""Campaign 4 on the real API server: what it admits of each leaf, and runs that are taken from one spec to another.

Every leaf goes through the brain itself in tests/unit/operator/test_spec_changes.py.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.cluster.operator.campaigns import FULL, Outcome, differences, picture, report, side_by_side
from tests.cluster.operator.runs import Manifest, condition, merged, status
from tests.cluster.operator.world import World
from tests.cluster.tier.api import Api, Refused
from tests.spec.documents import Spec, accepted, documents, is_shaped, manifest

pytestmark = pytest.mark.slow

RUNS = "/apis/runwright.dev/v1alpha1/namespaces/{}/trainingruns/churn"
EVERY = 1 if FULL else 4


def applied(api: Api, namespace: str, spec: Spec) -> Spec | None:
    """A dry run of a server-side apply: the spec as the API server would keep it, None when it refuses."""
    query = {"dryRun": "All", "fieldManager": "test", "force": "true", "fieldValidation": "Strict"}
    content = "application/apply-patch+yaml"
    try:
        kept = api.request("PATCH", RUNS.format(namespace), manifest(spec), content=content, query=query)
    except Refused as error:
        if error.status not in (400, 422, 500):  # 500: of a value of a wrong type, by apply
            raise
        return None
    return dict(kept["spec"])


def test_admission_of_each_leaf(api: Api, namespace: str) -> None:
    told: Counter[str] = Counter()
    for found in itertools.islice(documents(), 0, None, EVERY):
        for kind in ("without", "one", "other", "wrong"):
            spec = getattr(found, kind)
            kept = applied(api, namespace, spec)
            if kept is None:
                assert not is_shaped(spec), f"{found.leaf}: {kind} is valid and refused"
                told["refused at admission"] += 1
                continue
            assert kept == spec, f"{found.leaf}: the API server changed the spec"
            assert kind != "wrong" or found.leaf.is_free, f"{found.leaf}: a wrong value was admitted"
            told["taken" if accepted(spec) else "Accepted=False"] += 1
    print(f"\ncampaign 4, admission: {dict(told)}")


class Change(NamedTuple):
    """A change of the spec, and whether it trains."""

    name: str
    before: Spec
    after: Spec
    trains: bool = False

    def __str__(self) -> str:
        return self.name


CHANGES = (
    Change("data", {}, {"data": {"maxRows": 100}}, trains=True),
    Change("train", {"train": {"epochs": 3}}, {"train": {"epochs": 4}}, trains=True),
    Change("nodes", {}, {"train": {"resources": {"nodes": 2}}}, trains=True),
    Change("retries", {}, {"train": {"retries": {"failures": 5}}}),
    Change("timeout", {"train": {"timeout": "1h"}}, {"train": {"timeout": "2h"}}),
    Change("gate", {}, {"evaluate": {"gate": [{"metric": "accuracy", "min": 0.6}]}}),
    Change("service-memory", {}, {"deploy": {"resources": {"memory": "1Gi"}}}),
    Change("service-memory-removed", {"deploy": {"resources": {"memory": "1Gi"}}}, {}),
    Change("mode-none", {}, {"deploy": {"mode": "None"}}),
    Change("mode-standard", {"deploy": {"mode": "None"}}, {}),
    Change("kept", {}, {"deploy": {"onDelete": "Keep"}}),
    Change("history", {}, {"history": {"limit": 2}}),
    Change("resumed", {"suspend": True}, {"suspend": False}, trains=True),
    Change("description", {}, {"package": {"description": "finds penguins"}}),
)
SELECTED = ("data", "gate", "service-memory-removed", "kept", "resumed")


def test_from_one_spec_to_another(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.add_operator()
    chosen = CHANGES if FULL else [change for change in CHANGES if change.name in SELECTED]
    report("campaign 4, from one spec to another", side_by_side(chosen, lambda change: changed(world, change)))


def changed(world: World, change: Change) -> Outcome:
    """S0 to S1 against a fresh S1; then S1 to a spec that is refused, and back."""
    began = time.monotonic()
    name, fresh = f"{change.name}-a", f"{change.name}-b"
    world.apply(fresh, **change.after)
    world.apply(name, **change.before)
    for each in (name, fresh):
        world.wait_run("it has settled", settled, each)
    world.apply(name, **change.after)
    wanted = compared(world, fresh)
    outcome = Outcome(change.name)
    outcome.problems += until_equal(world, name, wanted, "S0 to S1")
    trainings = len(world.pipeline_runs(name))
    expected = 1 + (change.trains and not change.before.get("suspend", False))
    if trainings != expected:
        outcome.problems.append(f"{trainings} trainings instead of {expected}")
    world.apply(name, **merged(change.after, {"data": {"sources": [{"path": "on/my/laptop.csv"}]}}))
    world.wait_run("it is refused", lambda run: current(run) and condition(run, "Accepted")["status"] == "False", name)
    world.apply(name, **change.after)
    outcome.problems += until_equal(world, name, wanted, "S1 to invalid to S1")
    if len(world.pipeline_runs(name)) != trainings:
        outcome.problems.append("trained again")
    if outcome.problems:
        outcome.problems.append(world.story())
    outcome.seconds = time.monotonic() - began
    return outcome


def until_equal(world: World, name: str, wanted: Manifest, what: str) -> list[str]:
    """The differences that are left when the TrainingRun has settled."""
    world.wait_run(f"{what}: it has settled", settled, name)
    end = time.monotonic() + 60
    while (wrong := differences(wanted, compared(world, name))) and time.monotonic() < end:
        time.sleep(0.3)
    return [f"{what}: {one}" for one in wrong]


def current(run: Manifest) -> bool:
    return bool(status(run).get("observedGeneration") == run["metadata"]["generation"])


def settled(run: Manifest) -> bool:
    return current(run) and condition(run, "Reconciling").get("status") == "False"


def compared(world: World, name: str) -> Manifest:
    """All but ids, names, times and numbers of revisions."""
    found = picture(world, name)
    run = status(world.run(name))
    newest: Manifest = next((one for one in run.get("revisions", ()) if one["number"] == run.get("revision")), {})
    service = world.service(name)
    return {
        **{part: found[part] for part in ("phase", "conditions", "finalizers")},
        "ready": _numberless(condition(world.run(name), "Ready").get("message")),
        "revision": {part: newest.get(part) for part in ("recipe", "state", "verdict", "checks", "metrics")},
        "service": None if service is None else _wanted(service, name),
    }


def _wanted(service: Manifest, name: str) -> Any:
    """What we asked for of the InferenceService."""
    container = service["spec"]["predictor"]["containers"][0]
    owners = [owner["kind"] for owner in service["metadata"].get("ownerReferences", ())]
    command = [word.replace(name, "NAME") for word in container["command"]]
    return {"owners": owners, "resources": container.get("resources"), "command": command}


def _numberless(text: Any) -> str:
    return re.sub(r"revision \d+", "revision #", str(text))
