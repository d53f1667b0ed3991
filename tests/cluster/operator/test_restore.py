"""A TrainingRun is deleted with all it made, and comes back from a backup: nothing is trained again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from tests.cluster.operator.conftest import MakeWorld
from tests.cluster.operator.runs import API_VERSION, KIND, Manifest, condition, revision, serves, states, status
from tests.cluster.operator.world import World

Kubectl = Callable[..., CompletedProcess[str]]
DIGEST = "runwright.dev/model-digest"
STORY = {1: "Succeeded", 2: "Succeeded", 3: "Rejected"}


def live_through(world: World, name: str, **changes: Any) -> Manifest:
    """Two good models and one that the gate rejects; the second serves."""
    world.script({"run": name, "revision": 3, "metrics": {"accuracy": 0.1}})
    for number, epochs in enumerate((5, 6, 7), start=1):
        world.apply(name, train={"epochs": epochs}, **changes)
        world.wait_run(f"revision {number} is over", lambda run, n=number: states(run).get(n) == STORY[n], name)
    return world.wait_run("revision 2 serves", lambda run: status(run).get("serving", {}).get("revision") == 2, name)


def delete(world: World, name: str) -> None:
    """Until nothing is left that the garbage collector would take."""
    world.delete(name)
    label = f"runwright.dev/run={name}"
    records = ("v1", "ConfigMap", world.namespace)
    world.wait(f"{name} is gone", lambda: not world.run(name))
    world.wait("its records are gone", lambda: not world.api.list(*records, labels=label))
    world.wait("its jobs are gone", lambda: not world.jobs(name))


def comes_back(world: World, name: str, before: Manifest) -> Manifest:
    """The same history under another uid, the same model, and not one run more than before."""
    run = world.wait_run("revision 2 serves again", lambda run: _serves(run, 2), name)
    assert run["metadata"]["uid"] != before["metadata"]["uid"]
    assert states(run) == STORY
    assert len(world.pipeline_runs(name)) == 3
    assert world.jobs(name) == set()
    for number in STORY:
        old, new = revision(before, number), revision(run, number)
        for field in ("recipe", "metrics", "artifact", "verdict", "checks", "pipelineRun", "completionTime"):
            assert new.get(field) == old.get(field), (number, field)
    service = world.service(name)
    assert service is not None
    assert service["metadata"]["annotations"][DIGEST] == revision(before, 2)["artifact"]["modelDigest"]
    assert condition(run, "Ready")["reason"] == "GateRejected"
    return run


def goes_on(world: World, name: str) -> None:
    """A rollback needs no training, and a new recipe is the next revision."""
    world.apply(name, train={"epochs": 7}, deploy={"revision": 1})
    world.wait_run("revision 1 serves", lambda run: _serves(run, 1), name)
    assert len(world.pipeline_runs(name)) == 3
    world.apply(name, train={"epochs": 8})
    world.wait_run("revision 4 serves", lambda run: serves(run, 4), name)
    assert len(world.pipeline_runs(name)) == 4


def _serves(run: Manifest, number: int) -> bool:
    """Whether the model of a revision answers, be another one wanted or not."""
    seen = status(run).get("observedGeneration") == run["metadata"]["generation"]
    return bool(seen and status(run).get("serving", {}).get("revision") == number)


@pytest.mark.parametrize("kept", ["Delete", "Keep"])
def test_kubectl_get_and_apply(world: World, kubectl: Kubectl, tmp_path: Path, kept: str) -> None:
    name = f"backup-{kept.lower()}"
    before = live_through(world, name, deploy={"onDelete": kept})
    backup = tmp_path / "backup.yaml"
    backup.write_text(kubectl("get", "trun", name, "-n", world.namespace, "-o", "yaml").stdout)
    service = world.service(name)
    assert service is not None
    delete(world, name)
    if kept == "Keep":
        assert world.service(name) is not None
    else:
        world.wait("its service is gone", lambda: world.service(name) is None)
    kubectl("apply", "-f", str(backup))
    comes_back(world, name, before)
    after = world.service(name)
    assert after is not None
    assert (after["metadata"]["uid"] == service["metadata"]["uid"]) == (kept == "Keep")
    goes_on(world, name)


@pytest.mark.parametrize("owners", [False, True], ids=["owners dropped, as Velero does", "owners that are gone"])
def test_a_backup_tool_brings_back_the_object_and_all_it_made(make_world: MakeWorld, owners: bool) -> None:
    """Onto an empty cluster, before the operator is there: without status, under other uids."""
    world = make_world()
    world.add_operator()
    before = live_through(world, "whole")
    kinds = (("v1", "ConfigMap"), ("serving.kserve.io/v1beta1", "InferenceService"), (API_VERSION, KIND))
    backup = [
        {"apiVersion": api_version, "kind": kind, **one}
        for api_version, kind in kinds
        for one in world.api.list(api_version, kind, world.namespace)
        if one["metadata"]["name"].startswith("whole")
    ]
    delete(world, "whole")
    world.wait("its service is gone", lambda: world.service("whole") is None)
    world.operator.stop()
    for one in backup:
        world.api.create(_brought_back(one, owners=owners))
    world.operator.start()
    comes_back(world, "whole", before)
    goes_on(world, "whole")


def _brought_back(manifest: Manifest, *, owners: bool) -> Manifest:
    lost = {"uid", "resourceVersion", "generation", "creationTimestamp", *(() if owners else ("ownerReferences",))}
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in lost}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}


def test_gitops_after_the_backup_finds_nothing_to_do(world: World, kubectl: Kubectl, tmp_path: Path) -> None:
    """Argo CD applies the file in git, which knows no history, over the object that the backup brought back."""
    before = live_through(world, "gitops")
    backup, git = tmp_path / "backup.yaml", tmp_path / "git.yaml"
    backup.write_text(kubectl("get", "trun", "gitops", "-n", world.namespace, "-o", "yaml").stdout)
    metadata = {"name": "gitops", "namespace": world.namespace}
    git.write_text(
        yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": before["spec"]})
    )
    delete(world, "gitops")
    kubectl("create", "-f", str(backup))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(git))
    comes_back(world, "gitops", before)


def test_one_that_is_made_anew_starts_anew(world: World) -> None:
    """The file in git alone says nothing of a past: who deletes an object and applies its file wants another model."""
    world.apply("anew")
    world.wait_run("it serves", lambda run: serves(run, 1), "anew")
    delete(world, "anew")
    world.apply("anew")
    world.wait_run("it serves", lambda run: serves(run, 1), "anew")
    assert len(world.pipeline_runs("anew")) == 2
