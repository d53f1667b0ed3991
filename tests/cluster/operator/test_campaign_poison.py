"""Campaign 8 on the real API server: objects full of rubbish beside healthy neighbours, and a KFP that talks nonsense.

The operator's process never ends, is never unwell, and the neighbours come to serve. 100,000 fuzzed objects go through
the parsers in tests/unit/operator/test_poison.py.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from runwright_api.crd import openapi_schema
from tests.cluster.operator.campaigns import FULL
from tests.cluster.operator.runs import API_VERSION, KIND, Manifest, serves, states
from tests.cluster.operator.world import World
from tests.cluster.tier.api import Refused
from tests.doubles.proxy import Answer, Call
from tests.doubles.proxy.faults import Instead, Truncate
from tests.spec.injection import attempts

pytestmark = pytest.mark.slow

NEIGHBOURS = 20 if FULL else 4
ROUNDS = 100 if FULL else 10
HOSTILE = (
    *("", " ", "{{workflow.name}}", "$(HOME)", "'; rm -rf /", "\u202egnp", "a\x00b", "../../x", "2026-13-45T99:99:99Z"),
    *("x" * 1000, "9" * 300, "null", "NaN", "\U0001f426" * 50),
)
NUMBERS = (-1, 0, 1, 2, 2**31 - 1, 2**53, -(2**31))
RUBBISH = (
    "[" * 5000,
    "{",
    "null",
    "\x00",
    '{"stage": "train"}',
    '{"stage": "train", "state": "running", "time": 3}',
    "é" * 9000,
)
CHILDREN = (
    ("v1", "Pod", {"containers": [{"name": "a", "image": "example.com/a:1"}]}),
    (
        "kubeflow.org/v1",
        "PyTorchJob",
        {
            "runPolicy": {"suspend": True},
            "pytorchReplicaSpecs": {
                "Master": {
                    "replicas": 1,
                    "template": {"spec": {"containers": [{"name": "pytorch", "image": "example.com/a:1"}]}},
                }
            },
        },
    ),
    (
        "serving.kserve.io/v1beta1",
        "InferenceService",
        {"predictor": {"containers": [{"name": "kserve-container", "image": "example.com/a:1"}]}},
    ),
)


class Poison:
    """Makes rubbish in the world of an operator. What the API server refuses does not count."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = random.Random(8)
        self.told: Counter[str] = Counter()
        self._status = openapi_schema()["properties"]["status"]
        self._specs = [attempt.spec for attempt in attempts()]

    def round(self, number: int) -> None:
        """One more poisoned TrainingRun with children of all kinds."""
        name = f"poison-{number}"
        world, api = self.world, self.world.api
        self._try("spec", lambda: api.create(self._run(name, self.chance.choice(self._specs))))
        if not world.run(name):
            world.apply(name, suspend=self.chance.random() < 0.5)
        uid = world.run(name)["metadata"]["uid"]
        for _ in range(5):
            self._try("status", lambda: self._merge(name, {"status": self._of(self._status)}, subresource="status"))
        notes = {f"runwright.dev/{key}": self.chance.choice(HOSTILE) for key in ("retrain", "cancel", "odd")}
        huge = {"example.com/huge": "{{" * 100_000} if number % 5 == 0 else {}
        self._try("annotations", lambda: self._merge(name, {"metadata": {"annotations": {**notes, **huge}}}))
        labels = {
            "runwright.dev/run": name,
            "runwright.dev/run-uid": uid,
            "runwright.dev/revision": self.chance.choice(("1", "2", "x", "99999999999", "-1", "")),
            "app.kubernetes.io/managed-by": "runwright",
        }
        metadata = {"name": f"{name}-r1", "namespace": world.namespace, "labels": labels}
        data = {f"{stage}.json": self.chance.choice(RUBBISH) for stage in ("train", "evaluate", "register", "odd")}
        records = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        self._try("records", lambda: api.apply(records))
        for api_version, kind, spec in CHILDREN:
            child = {"apiVersion": api_version, "kind": kind, "metadata": dict(metadata), "spec": spec}
            child["metadata"] = {**metadata, "name": name if kind == "InferenceService" else f"{name}-r1"}
            self._try(kind, partial(api.create, child))
            self._try(f"{kind} status", partial(self._odd_status, child))

    def _odd_status(self, child: Manifest) -> None:
        api, metadata = self.world.api, child["metadata"]
        phases = {"phase": self.chance.choice(("Failed", "Unknown", "Succeeded"))}
        condition = {"type": "Ready", "status": "True", "reason": self.chance.choice(HOSTILE[:8])}
        odd = {"conditions": [condition], **(phases if child["kind"] == "Pod" else {"observedGeneration": 2**40})}
        api.merge(
            child["apiVersion"],
            child["kind"],
            metadata["name"],
            {"status": odd},
            self.world.namespace,
            subresource="status",
        )

    def _run(self, name: str, spec: Manifest) -> Manifest:
        metadata = {"name": name, "namespace": self.world.namespace}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}

    def _merge(self, name: str, patch: Manifest, subresource: str = "") -> None:
        self.world.api.merge(API_VERSION, KIND, name, patch, self.world.namespace, subresource=subresource)

    def _try(self, what: str, deed: Callable[[], Any]) -> None:
        try:
            deed()
        except Refused as error:
            if error.status not in (400, 403, 404, 409, 422, 500):
                raise
        else:
            self.told[what] += 1

    def _of(self, schema: Manifest) -> Any:
        """A value that the schema lets pass, or nearly."""
        chance = self.chance
        if "enum" in schema:
            return chance.choice(schema["enum"])
        match schema.get("type"):
            case "object" if "properties" in schema:
                needed = schema.get("required", ())
                fields = schema["properties"].items()
                return {key: self._of(one) for key, one in fields if key in needed or chance.random() < 0.7}
            case "object":
                return {chance.choice(("accuracy", "", "x" * 60)): self._of(schema["additionalProperties"])}
            case "array":
                most = min(schema.get("maxItems", 3), 3)
                return [self._of(schema["items"]) for _ in range(chance.randrange(most + 1))]
            case "integer":
                low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**53)
                return chance.choice([number for number in NUMBERS if low <= number <= high] or [low])
            case "number":
                return chance.choice((0.0, -1e300, 1e300, 0.5))
            case "boolean":
                return chance.random() < 0.5
        if schema.get("format") == "date-time":
            return "2026-11-21T12:00:00Z"
        if "pattern" in schema:
            words = (f"sha256:{'a' * 64}", f"Odd{chance.randrange(99)}", "odd")
            fitting = [word for word in words if re.search(schema["pattern"], word)]
            return chance.choice([word for word in fitting if len(word) <= schema["maxLength"]])
        return chance.choice(HOSTILE)[: schema.get("maxLength", 1000)]


def test_healthy_neighbours_of_poison(make_world: Callable[..., World]) -> None:
    world = make_world(relist_seconds="20")
    operator = world.add_operator()
    pid = operator.pid
    poison = Poison(world)
    for number in range(ROUNDS // 2):
        poison.round(number)
    neighbours = [f"neighbour-{number}" for number in range(NEIGHBOURS)]
    for name in neighbours:
        world.apply(name)

    def reading(call: Call) -> bool:
        return call.method == "GET"

    for body in (b"", b"null", b"[]", b"<html>", b'{"runs": 3}', b'{"runs": [null, {}]}', b'{"state": ["x"]}', b"\xff"):
        operator.pipelines.add(Instead(Answer(200, body), reading, times=3))
    operator.pipelines.add(Truncate(reading, times=3))
    for number in range(ROUNDS // 2, ROUNDS):
        poison.round(number)
    began = time.monotonic()
    unwell: list[float] = []

    def look() -> None:
        if operator.probe("healthz") != 200:
            unwell.append(time.monotonic() - began)

    for name in neighbours:
        world.wait_run("the neighbour serves", lambda run: serves(run, 1), name, meanwhile=look)
        assert states(world.run(name)) == {1: "Succeeded"}
    seconds = time.monotonic() - began
    for name in [f"poison-{number}" for number in range(ROUNDS)]:
        world.delete(name)
    world.wait("the poison is gone", lambda: not any(world.run(f"poison-{n}") for n in range(ROUNDS)))
    print(
        f"\ncampaign 8: {sum(poison.told.values())} poisoned writes {dict(poison.told)}; {NEIGHBOURS} neighbours",
        end=" ",
    )
    print(f"serve after {seconds:.0f} s; healthz failed {len(unwell)} times; the process never ended")
    assert operator.running
    assert operator.pid == pid
    assert not unwell
