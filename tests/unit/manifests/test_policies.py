"""The admission policies know every place that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from runwright_api import names
from runwright_api.crd import crd
from runwright_operator.resources import CONFIG_MAP, EVERY_JOB, INFERENCE_SERVICE
from tests.golden.rendering import FOLDER

Object = dict[str, Any]
POLICIES: dict[str, Object] = {
    one["metadata"]["name"]: one["spec"]
    for one in yaml.safe_load_all((FOLDER / "default.yaml").read_text(encoding="utf-8"))
    if one["kind"] == "ValidatingAdmissionPolicy"
}


def secret_places() -> Iterator[str]:
    """Every field of the definition that names a Secret, as `storage.secretRef` or `data.sources[].s3.secretRef`."""

    def walk(schema: Object, path: str) -> Iterator[str]:
        for name, part in schema.get("properties", {}).items():
            if name == "secretRef":
                yield f"{path}.{name}".removeprefix(".")
            yield from walk(part, f"{path}.{name}")
        if "items" in schema:
            yield from walk(schema["items"], f"{path}[]")

    version = crd()["spec"]["versions"][0]
    yield from walk(version["schema"]["openAPIV3Schema"]["properties"]["spec"], "")


PLACES = sorted(secret_places())


def secrets_expression() -> str:
    variables = {one["name"]: one["expression"] for one in POLICIES["runwright-secrets"]["variables"]}
    return str(variables["secrets"])


def test_there_are_places() -> None:
    assert "storage.secretRef" in PLACES


@pytest.mark.parametrize("place", PLACES)
def test_the_policy_reads_every_field_that_names_a_secret(place: str) -> None:
    if place.startswith("data.sources[]."):
        field = "s." + place.removeprefix("data.sources[].")
        assert f"has({field}), {field}.name)" in secrets_expression()
    else:
        assert f"[?object.spec.?{place.replace('.', '.?')}.?name]" in secrets_expression()


def test_the_policy_checks_as_many_secrets_as_a_run_can_name() -> None:
    version = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    most = version["properties"]["data"]["properties"]["sources"]["maxItems"]
    others = [place for place in PLACES if not place.startswith("data.sources[].")]
    checks = [one for one in POLICIES["runwright-secrets"]["validations"] if "authorizer" in one["expression"]]
    assert len(checks) == most + len(others)  # a source is of one kind, so it names one Secret at most


def test_the_policy_of_writes_is_about_every_kind_that_we_write() -> None:
    rules = POLICIES["runwright-writes"]["matchConstraints"]["resourceRules"]
    covered = {(group, plural) for rule in rules for group in rule["apiGroups"] for plural in rule["resources"]}
    steps = {("trainer.kubeflow.org", "trainingruntimes"), ("jobset.x-k8s.io", "jobsets")}  # beside a TrainJob
    assert covered == {(kind.group, kind.plural) for kind in (CONFIG_MAP, *EVERY_JOB, INFERENCE_SERVICE)} | steps
    expressions = " ".join(one["expression"] for one in POLICIES["runwright-writes"]["validations"])
    assert f"'{names.LABEL_RUN}'" in expressions
    assert f"'{names.LABEL_MANAGED_BY}'].orValue('') == '{names.MANAGED_BY}'" in expressions


def test_policies_fail_closed_and_deny(everything: list[Object]) -> None:
    for one in everything:
        if one["kind"] == "ValidatingAdmissionPolicy":
            assert one["spec"]["failurePolicy"] == "Fail"
        if one["kind"] == "ValidatingAdmissionPolicyBinding":
            assert one["spec"]["validationActions"] == ["Deny"]
            assert one["spec"]["policyName"] == one["metadata"]["name"]
