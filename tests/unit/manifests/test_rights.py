"""No role gives more than it has to."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runwright_components.cluster.manifests import sparkapplication
from tests.golden.rendering import FOLDER
from tests.golden.rights import rights

Object = dict[str, Any]
DANGEROUS = {"escalate", "bind", "impersonate", "approve", "sign"}
OPERATOR, RUN, SPARK = "runwright-operator", "runwright-run", "runwright-spark"


def rules(objects: list[Object]) -> list[Object]:
    return [rule for one in objects if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]


def test_no_rule_has_a_wildcard(everything: list[Object]) -> None:
    for rule in rules(everything):
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
        for words in rule.values():
            assert words
            assert not [word for word in words if "*" in word], rule


def test_no_rule_leads_to_more_rights(everything: list[Object]) -> None:
    for rule in rules(everything):
        assert DANGEROUS.isdisjoint(rule["verbs"])
        assert {"pods/exec", "pods/attach", "pods/portforward", "nodes/proxy"}.isdisjoint(rule["resources"])
        assert not [group for group in rule["apiGroups"] if group == "rbac.authorization.k8s.io"]
        assert "serviceaccounts" not in "".join(rule["resources"])


def test_the_only_right_to_a_secret_is_to_get_one_by_name(everything: list[Object]) -> None:
    for rule in rules(everything):
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["get"]
            assert rule["resources"] == ["secrets"]
            assert len(rule["resourceNames"]) == 1


def test_the_operator_reads_no_secret(rendered: list[Object]) -> None:
    for account, places in rights(rendered).items():
        if account.endswith(f":{OPERATOR}"):
            assert not [resource for place in places.values() for resource in place if resource.startswith("secrets")]


def test_rights_are_bound_to_our_accounts_only(everything: list[Object]) -> None:
    for one in everything:
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            assert {subject["kind"] for subject in one["subjects"]} == {"ServiceAccount"}
            assert {subject["name"] for subject in one["subjects"]} <= {OPERATOR, RUN, SPARK}


def test_bindings_name_roles_that_exist(rendered: list[Object]) -> None:
    assert rights(rendered)  # a KeyError here names the role


@pytest.mark.parametrize("variant", ["namespaced", "full"])
def test_named_namespaces_bound_the_operator(variant: str) -> None:
    table = yaml.safe_load((FOLDER / "rights.yaml").read_text(encoding="utf-8"))[variant]
    for account, places in table.items():
        assert account.startswith("role ") or "*" not in places


def test_without_an_object_store_secret_steps_read_no_secret(chart: Any) -> None:
    for rule in rules(chart({"crds": {"install": False}, "pipelines": {"objectStoreSecret": ""}})):
        assert "secrets" not in rule["resources"]


def test_only_where_it_is_asked_for_may_a_spark_driver_make_its_executors(chart: Any) -> None:
    values = {"crds": {"install": False}, "runNamespaces": ["team"]}
    without = chart(values)
    assert not [rule for rule in rules(without) if "create" in rule["verbs"] and "pods" in rule["resources"]]
    added = [one for one in chart({**values, "run": {"spark": {"enabled": True}}}) if one not in without]
    assert [(one["kind"], one["metadata"]["namespace"]) for one in added] == [
        ("ServiceAccount", "team"),
        ("Role", "team"),
        ("RoleBinding", "team"),
    ]
    assert added[0]["metadata"]["name"] == SPARK == sparkapplication.ACCOUNT
    assert added[2]["subjects"] == [{"kind": "ServiceAccount", "name": SPARK, "namespace": "team"}]
    granted = {rule["resources"][0]: set(rule["verbs"]) for rule in added[1]["rules"]}
    pods = {"get", "list", "watch", "create", "patch", "delete", "deletecollection"}
    assert granted == {"pods": pods, "configmaps": {"create"}}
