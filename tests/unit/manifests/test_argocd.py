"""Argo CD's view of a TrainingRun: the Lua runs as Argo CD runs it, over one fixture a branch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51  # the version that Argo CD's interpreter speaks

from runwright_api import names
from runwright_api.status import TrainingRunStatus
from tests.golden.rendering import ROOT

FOLDER = ROOT / "manifests/argocd"
FIXTURES = sorted((Path(__file__).parent / "argocd").glob("*.yaml"))
HEALTH = (FOLDER / "health.lua").read_text(encoding="utf-8")
KEPT = ("table", "package", "_G", "os", "assert", "error", "ipairs", "next", "pairs", "select", "tostring", "type")
Object = dict[str, Any]


def sandbox() -> lua51.LuaRuntime:
    """Lua with what Argo CD leaves in it: no string, math or io library, and of `os` only two functions."""
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=False)
    lua.execute("os = {time = os.time, date = os.date}")
    kept = lua.table_from(list(KEPT))
    lua.execute(
        """
        local names, keep = ..., {}
        for _, name in ipairs(names) do keep[name] = true end
        for name in pairs(_G) do if not keep[name] then _G[name] = nil end end
        """,
        kept,
    )
    return lua


def given(lua: lua51.LuaRuntime, value: Any) -> Any:
    """A value of Python as Argo CD hands it over: every number a Lua number."""
    if isinstance(value, dict):
        return lua.table_from({key: given(lua, item) for key, item in value.items() if item is not None})
    if isinstance(value, list):
        return lua.table_from([given(lua, item) for item in value])
    return value


def run(script: str, obj: Object, watch: Callable[[int], None] | None = None) -> Any:
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False) if watch else sandbox()
    lua.globals().obj = given(lua, obj)
    if watch:
        lua.execute("local seen = ...; debug.sethook(function(_, line) seen(line) end, 'l')", watch)
    return lua.execute(script)


def fixture(path: Path) -> tuple[Object, Object]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded["object"], loaded["health"]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_health(path: Path) -> None:
    obj, expected = fixture(path)
    found = run(HEALTH, obj)
    assert {"status": found["status"], "message": found["message"]} == expected


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_fixtures_are_what_the_operator_writes(path: Path) -> None:
    obj, _ = fixture(path)
    if "status" in obj:
        status = TrainingRunStatus.model_validate(obj["status"])
        for condition in status.conditions:
            assert condition.reason in type(condition.reason)


def test_every_line_of_the_health_check_has_a_fixture() -> None:
    lua = lua51.LuaRuntime()
    lines = lua.eval(
        """function(script)
          local found = {}
          for line in pairs(debug.getinfo(loadstring(script), "L").activelines) do found[#found + 1] = line end
          return found
        end"""
    )(HEALTH)
    executed: set[int] = set()
    for path in FIXTURES:
        run(HEALTH, fixture(path)[0], executed.add)
    returns = {number for number, line in enumerate(HEALTH.splitlines(), 1) if "return " in line}
    assert set(lines.values()) | returns <= executed


def test_a_status_that_nobody_expects_is_no_error() -> None:
    for conditions in ([], [{"type": "Ready", "status": "Maybe"}], [{"type": "Stalled", "status": "True"}]):
        obj = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": conditions}}
        assert run(HEALTH, obj)["status"] in ("Progressing", "Degraded")


@pytest.mark.parametrize("annotations", [None, {"team": "birds"}])
def test_the_action_asks_for_a_retraining_and_changes_nothing_else(annotations: Object | None) -> None:
    obj = {"metadata": {"name": "penguins", "annotations": annotations}, "spec": {"suspend": False}}
    changed = run((FOLDER / "actions/retrain.lua").read_text(encoding="utf-8"), obj)
    found = dict(changed["metadata"]["annotations"])
    datetime.strptime(found.pop(names.ANNOTATION_RETRAIN), "%Y-%m-%dT%H:%M:%SZ")
    assert found == (annotations or {})
    assert dict(changed["spec"]) == {"suspend": False}


@pytest.mark.parametrize(
    ("spec", "metadata", "disabled"),
    [({}, {}, False), ({"suspend": True}, {}, True), ({}, {"deletionTimestamp": "2026-01-02T03:04:05Z"}, True)],
)
def test_the_action_is_offered_to_runs_that_can_start(spec: Object, metadata: Object, disabled: bool) -> None:
    discovery = (FOLDER / "actions/discovery.lua").read_text(encoding="utf-8")
    assert run(discovery, {"metadata": metadata, "spec": spec})["retrain"]["disabled"] is disabled


def test_the_patch_of_argo_cd_holds_the_scripts() -> None:
    patch = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))
    kind = f"{names.GROUP}_{names.KIND}"
    assert patch["data"][f"resource.customizations.health.{kind}"] == HEALTH
    actions = yaml.safe_load(patch["data"][f"resource.customizations.actions.{kind}"])
    assert [action["name"] for action in actions["definitions"]] == ["retrain"]


def test_the_sample_lets_teams_touch_training_runs_alone() -> None:
    application, project = yaml.safe_load_all((FOLDER / "applicationset.yaml").read_text(encoding="utf-8"))
    template = application["spec"]["template"]["spec"]
    assert template["project"] == project["metadata"]["name"]
    assert "ServerSideApply=true" in template["syncPolicy"]["syncOptions"]
    assert "ignoreDifferences" not in template
    assert project["spec"]["clusterResourceWhitelist"] == []
    assert project["spec"]["namespaceResourceWhitelist"] == [{"group": names.GROUP, "kind": names.KIND}]
