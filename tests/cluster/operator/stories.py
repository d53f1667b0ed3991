"""What happened in a world, as text: printed when a wait fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from tests.cluster.operator.runs import API_VERSION, KIND, Manifest, status

if TYPE_CHECKING:
    from tests.cluster.operator.world import Operator, World

LOG_LINES = 40
WRITES = 30


def tell(world: World) -> str:
    """Objects, Events, pipeline runs, the operators' last words, and what they wrote last."""
    parts = [f"namespace {world.namespace}", *(f"{one.name}: {_state(one)}" for one in world.operators)]
    for run in world.api.list(API_VERSION, KIND, world.namespace):
        parts += [f"--- {run['metadata']['name']}", yaml.safe_dump(_short(run), width=160)]
    parts += ["--- children", *(f"{kind} {name}: {told}" for kind, name, told in _children(world))]
    parts += ["--- events", *_events(world)]
    parts += ["--- pipeline runs", *_pipeline_runs(world)]
    for operator in world.operators:
        parts += [f"--- {operator.name} ({_state(operator)}), its log", operator.process.tail(LOG_LINES)]
    writes = [f"{call.client}: {call} -> {call.status}" for call in world.journal.writes()[-WRITES:]]
    return "\n".join([*parts, "--- the last writes", *writes])


def _state(operator: Operator) -> str:
    """Stands first, since the end of a story may be cut off: whether it runs and is well, else its last word."""
    if not operator.running:
        return f"does not run: {operator.process.tail(1)}"
    return f"pid {operator.pid}, healthz {operator.probe('healthz')}, readyz {operator.probe('readyz')}"


def _short(run: Manifest) -> Manifest:
    metadata = {
        key: run["metadata"][key] for key in ("generation", "finalizers", "annotations") if key in run["metadata"]
    }
    told = status(run)
    told["conditions"] = [
        f"{one['type']}={one['status']} {one['reason']}: {one.get('message', '')}" for one in told.get("conditions", ())
    ]
    return {"metadata": metadata, "status": told}


def _children(world: World) -> list[tuple[str, str, str]]:
    kinds = (
        ("kubeflow.org/v1", "PyTorchJob"),
        ("serving.kserve.io/v1beta1", "InferenceService"),
        ("v1", "Pod"),
    )
    found = []
    for api_version, kind in kinds:
        for one in world.api.list(api_version, kind, world.namespace):
            state = one.get("status", {})
            said = [f"{each['type']}={each['status']}" for each in state.get("conditions", ())]
            found.append((kind, one["metadata"]["name"], f"{state.get('phase', '')} {' '.join(said)}"))
    for one in world.records():
        said = [f"{key}: {json.loads(text).get('state')}" for key, text in one.get("data", {}).items()]
        found.append(("ConfigMap", one["metadata"]["name"], ", ".join(said)))
    return found


def _events(world: World) -> list[str]:
    events = world.api.list("v1", "Event", world.namespace)
    events.sort(key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "")
    return [f"{one['type']} {one['reason']} {one['involvedObject'].get('name')}: {one['message']}" for one in events]


def _pipeline_runs(world: World) -> list[str]:
    told = []
    for run in world.kfp.runs():
        if world.namespace in str(run["parameters"].get("cluster", "")):
            told.append(f"{run['name']} {run['id']} {run['state']} {run['error']}")
            told += [
                f"  {task['name']} {task['state']} exit {task['exit_code']} {task['error']}" for task in run["tasks"]
            ]
    return told
