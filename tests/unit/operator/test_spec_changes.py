"""Campaign 4 without a cluster: each leaf of the CRD is set, changed, removed and given a wrong value.

Wherever a TrainingRun comes from, it ends as a fresh one of the same spec does; what was trained once is not trained
again. RUNWRIGHT_CAMPAIGNS=full goes through all leaves, the default through some.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from functools import cache
from typing import Any

from runwright_operator.brain.decision import StartPipeline
from runwright_operator.reading import digest_of, read_run
from tests.doubles.brain import World
from tests.spec.documents import Documents, Spec, accepted, documents, manifest

FULL = os.environ.get("RUNWRIGHT_CAMPAIGNS") == "full"
EVERY = 1 if FULL else 6
METRICS = {"accuracy": 0.9, "errorRate": 0.1, "balancedAccuracy": 0.9}
SLICES = [{"column": "island", "value": value, "rows": 9, "metrics": METRICS} for value in ("a", "b")]
# What the recipe leaves out, since it does not decide the model.
_BESIDE = {
    *("watermark", "headers_env", "description", "license", "parity_tolerance", "collective_timeout", "max_restarts"),
    *("checkpoint_every_steps", "checkpoint_every_minutes", "checkpoint_keep", "checkpoint_keep_every"),
    "engine",
}
_MODEL = ("collect", "prepare", "train", "package")


class Life(World):
    """A TrainingRun whose models are made by their recipes alone."""

    def give(self, spec: Spec) -> None:
        """Apply a spec, valid or not, and let everything take its course."""
        run, problems = read_run(manifest(spec))
        self.seen = replace(
            self.seen,
            run=run,
            problems=problems,
            recipe=digest_of(run) if run else "",
            generation=self.seen.generation + 1,
        )
        self.take_course()

    def change_while_it_trains(self, spec: Spec) -> None:
        """As `give`, with the run of the spec before only begun."""
        self.settle()
        self.give(spec)

    def take_course(self) -> None:
        self.settle()
        if self.status.revision is not None and self.revision().state == "Running":
            self._finish()
            self.settle()
        if self.seen.service is not None and "status" not in self.seen.service:
            self.serve_up()
            self.settle()

    def _finish(self) -> None:
        made = self.revision().recipe
        self.record("train", gpu_seconds=1.0)
        self.record("evaluate", result={"model_digest": made, "metrics": METRICS, "slices": SLICES})
        place = {"uri": f"s3://models/{made[7:]}", "digest": made, "model_digest": made, "version": 1}
        self.record("register", result=place)
        self.end_pipeline("succeeded")


def begun(spec: Spec) -> Life:
    """Applied, and nothing done yet."""
    life = Life()
    run, problems = read_run(manifest(spec))
    life.seen = replace(life.seen, run=run, problems=problems, recipe=digest_of(run) if run else "", generation=1)
    return life


def state(life: Life) -> dict[str, Any]:
    """All that a person or another program sees, but for times and numbers of revisions."""
    told = life.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    current: dict[str, Any] = next((one for one in told["revisions"] if one["number"] == told["revision"]), {})
    kept = ("recipe", "state", "verdict", "checks", "metrics", "failure")
    return {
        "conditions": {one["type"]: _condition(one) for one in told["conditions"]},
        "phase": told["phase"],
        "serving": told.get("serving", {}).get("modelDigest"),
        "revision": {name: current.get(name) for name in kept},
        "artifact": current.get("artifact", {}).get("uri"),
        "service": _service(life),
        "model": _model(life),
        "finalizers": life.seen.finalizers,
    }


def _condition(one: dict[str, Any]) -> tuple[str, str, str]:
    message = "" if one["type"] == "Submitted" else re.sub(r"revision \d+", "revision #", one.get("message", ""))
    return one["status"], one["reason"], message


def _service(life: Life) -> Any:
    """The InferenceService that was applied last."""
    if life.seen.service is None:
        return None
    text = json.dumps({part: life.seen.service[part] for part in ("metadata", "spec")}, sort_keys=True)
    return json.loads(re.sub(r'("runwright.dev/(revision|spec-digest)": )"[^"]*"', r'\1"#"', text))


def _model(life: Life) -> Any:
    """What the pipeline run of the current revision was told of the model."""
    starts = [one for one in life.done if isinstance(one, StartPipeline) and one.revision == life.status.revision]
    if not starts:
        return None
    pipeline, cluster = starts[-1].pipeline, json.loads(starts[-1].cluster)
    drawn = pipeline.get("pipeline_spec", pipeline)
    found = {"world": {name: cluster["job"][name] for name in ("nodes", "gpus_per_node", "processes_per_node")}}
    for task, content in drawn["root"]["dag"]["tasks"].items():
        for name, value in content["inputs"]["parameters"].items():
            stage = task if name == "config" else name.removesuffix("_config")
            if stage in _MODEL and (name == "config" or stage != name):
                found[stage] = _without(json.loads(value["runtimeValue"]["constant"]))
    return found


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if name not in _BESIDE}
    return [_without(item) for item in value] if isinstance(value, list) else value


@cache
def _fresh(text: str) -> tuple[dict[str, Any], str]:
    life = begun(json.loads(text))
    life.take_course()
    return state(life), life.seen.recipe


def fresh(spec: Spec) -> dict[str, Any]:
    """The state of a TrainingRun that began with the spec."""
    return _fresh(json.dumps(spec, sort_keys=True))[0]


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where a TrainingRun is not as a fresh one. What serves keeps serving when a fresh one would not serve yet."""
    compared = set(wanted)
    if wanted["serving"] is None and found["serving"] is not None:
        compared = {"revision", "artifact", "model"} if wanted["revision"]["state"] else set()
    return [f"{name}: {found[name]}\n  instead of {wanted[name]}" for name in compared if found[name] != wanted[name]]


def check(life: Life, spec: Spec, recipes: set[str], what: str) -> list[str]:
    """What is wrong after the spec was applied. `recipes` are those that were trained."""
    problems = [f"{what}: {one}" for one in differences(state(life), fresh(spec))]
    if not life.seen.run or not life.seen.run.spec.suspend:
        recipes.add(life.seen.recipe)
    if life.starts() != len(recipes - {""}):
        problems.append(f"{what}: {life.starts()} trainings of {len(recipes - {''})} recipes")
    return problems


def refused(life: Life, before: dict[str, Any], starts: int, what: str) -> list[str]:
    """What is wrong after a spec that the operator does not go by: nothing but what it says may change."""
    now = state(life)
    said = now["conditions"]["Accepted"][:2] == ("False", "InvalidSpec")
    kept = ("serving", "service", "revision", "artifact")
    changed = [name for name in kept if now[name] != before[name]]
    return [
        *([] if said else [f"{what}: {now['conditions']['Accepted']}"]),
        *(f"{what}: {name} changed" for name in changed),
        *([] if life.starts() == starts else [f"{what}: trained again"]),
    ]


def walk(found: Documents) -> list[str]:
    """Set, change, remove, give a wrong value, come back: one life."""
    life, recipes, problems = begun(found.without), set[str](), list[str]()
    life.take_course()
    recipes.add(life.seen.recipe)
    steps = ("one", "other", "without", "wrong", "without", "one", "wrong", "one")
    for step in steps:
        spec, before, starts = getattr(found, step), state(life), life.starts()
        life.give(spec)
        if accepted(spec):
            problems += check(life, spec, recipes, step)
        else:
            problems += refused(life, before, starts, step)
    return problems


def in_training(found: Documents) -> list[str]:
    """The change comes while the first spec is trained."""
    problems = []
    for first, second in (("without", "one"), ("one", "other"), ("other", "without")):
        if accepted(getattr(found, first)) and accepted(getattr(found, second)):
            life = begun(getattr(found, first))
            life.change_while_it_trains(getattr(found, second))
            wrong = differences(state(life), fresh(getattr(found, second)))
            problems += [f"{first} to {second} in training: {one}" for one in wrong]
    return problems


def test_each_leaf_set_changed_removed_and_broken() -> None:
    chosen = list(documents())
    failed: dict[str, list[str]] = {}
    transitions = 0
    for found in chosen[::EVERY]:
        problems = [*walk(found), *in_training(found)]
        transitions += 11
        if problems:
            failed[str(found.leaf)] = problems
    print(
        f"\ncampaign 4: {len(chosen[::EVERY])} of {len(chosen)} leaves, {transitions} transitions, {len(failed)} failed"
    )
    assert not failed, "\n".join(f"{leaf}: {one[:1500]}" for leaf, problems in failed.items() for one in problems[:3])
