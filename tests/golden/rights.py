"""The rights of each ServiceAccount of an installation, read from its roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

HEADER = "# Who may do what after an installation. Drawn by `make generate`; a change here is a change of rights.\n"
Object = Mapping[str, Any]


def table(renderings: Mapping[str, Sequence[Object]]) -> str:
    """For each rendering: ServiceAccount -> where -> resource -> verbs. The cluster as a whole is the place `*`."""
    found = {name: rights(objects) for name, objects in renderings.items()}
    return HEADER + yaml.safe_dump(found, sort_keys=True, default_flow_style=None, width=120)


def rights(objects: Sequence[Object]) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Rights of the accounts that are bound; a role that nobody is bound to counts as `role NAME` in any namespace."""
    roles = {_place(one): one["rules"] for one in objects if one["kind"] in ("Role", "ClusterRole")}
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    bound = set()
    for one in objects:
        if one["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        reference, namespace = one["roleRef"], one["metadata"].get("namespace", "*")
        role = (reference["kind"], namespace if reference["kind"] == "Role" else "*", reference["name"])
        bound.add(role)
        for subject in one["subjects"]:
            account = f"{subject['namespace']}:{subject['name']}"
            place = found.setdefault(account, {}).setdefault(namespace, {})
            for resource, verbs in _granted(roles[role]):
                place[resource] = sorted({*place.get(resource, ()), *verbs})
    for role in roles.keys() - bound:
        found[f"role {role[2]}"] = {"any": dict(_granted(roles[role]))}
    return found


def _place(role: Object) -> tuple[str, str, str]:
    return role["kind"], role["metadata"].get("namespace", "*"), role["metadata"]["name"]


def _granted(rules: Sequence[Object]) -> Iterator[tuple[str, list[str]]]:
    """(resource.group/name, verbs) of each rule, as `kubectl auth can-i` spells them."""
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                plural, _, sub = resource.partition("/")
                spelled = f"{plural}.{group}" if group else plural
                for name in rule.get("resourceNames", [""]):
                    yield spelled + (f"/{sub}" if sub else "") + (f" {name}" if name else ""), sorted(rule["verbs"])
