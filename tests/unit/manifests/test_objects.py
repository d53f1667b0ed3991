"""What every object of every rendering keeps to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runwright_api import names

Object = dict[str, Any]
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def pods(objects: list[Object]) -> Iterator[Object]:
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield one["spec"]["template"]
    assert any(one["kind"] == "Deployment" for one in objects)


def one(objects: list[Object], kind: str, name: str) -> Object:
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}"
    return found[0]


def test_every_object_has_a_name_labels_and_its_namespace(rendered: list[Object]) -> None:
    for each in rendered:
        metadata = each["metadata"]
        assert metadata["name"].startswith("runwright")
        assert metadata["labels"]["app.kubernetes.io/name"] == "runwright"
        assert ("namespace" in metadata) == (each["kind"] not in CLUSTER_SCOPED)


def test_no_object_is_there_twice(rendered: list[Object]) -> None:
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in rendered]
    assert len(keys) == len(set(keys))


def test_pods_meet_pod_security_restricted(rendered: list[Object]) -> None:
    for template in pods(rendered):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert {next(iter(set(volume) - {"name"})) for volume in spec["volumes"]} <= {
            "emptyDir",
            "projected",
            "configMap",
            "secret",
        }
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context


def test_pods_say_what_they_need_and_how_they_are(rendered: list[Object]) -> None:
    for template in pods(rendered):
        for container in template["spec"]["containers"]:
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
            assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_images_are_pinned(rendered: list[Object]) -> None:
    for template in pods(rendered):
        for container in template["spec"]["containers"]:
            images = [container["image"], *(e["value"] for e in container["env"] if e["name"].endswith("_IMAGE"))]
            for image in images:
                assert re.search(r"(@sha256:[0-9a-f]{64}|:[0-9]+\.[0-9]+\.[0-9]+)$", image), image


def test_a_token_is_mounted_only_where_the_api_is_called(rendered: list[Object]) -> None:
    account = one(rendered, "ServiceAccount", "runwright-operator")
    assert account["automountServiceAccountToken"] is False
    (template,) = pods(rendered)
    assert template["spec"]["automountServiceAccountToken"] is True


def test_no_secret_is_made_and_no_value_of_one_is_set(rendered: list[Object]) -> None:
    assert not [each for each in rendered if each["kind"] == "Secret"]
    for template in pods(rendered):
        for container in template["spec"]["containers"]:
            assert not [e for e in container["env"] if "secretKeyRef" in str(e)]


def test_a_namespaced_install_has_nothing_that_reaches_over_the_cluster(chart: Any) -> None:
    values = {
        "namespaces": ["team-a"],
        "crds": {"install": False},
        "rbac": {"aggregate": False},
        "policies": {"enabled": False},
    }
    objects = chart(values)
    assert {each["kind"] for each in objects}.isdisjoint(CLUSTER_SCOPED)
    assert {each["metadata"]["namespace"] for each in objects} == {"runwright-system", "team-a"}


def test_policies_of_a_namespaced_install_bind_its_namespaces_only(chart: Any) -> None:
    objects = chart({"namespaces": ["team-a", "team-b"], "crds": {"install": False}})
    bindings = [each for each in objects if each["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert len(bindings) == 4
    for binding in bindings:
        (expression,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert expression["values"] == ["team-a", "team-b"]


def test_the_token_for_kfp_has_its_audience_and_is_for_multi_user_alone(chart: Any) -> None:
    def volume(values: Object) -> Object | None:
        (template,) = pods(chart(values))
        return next((each for each in template["spec"]["volumes"] if each["name"] == "pipelines-token"), None)

    assert volume({}) is None
    found = volume({"pipelines": {"multiUser": True}})
    assert found is not None
    (source,) = found["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"


def test_the_ca_comes_from_a_config_map_or_a_secret(chart: Any) -> None:
    for kind, key in (("configMap", "name"), ("secret", "secretName")):
        (template,) = pods(chart({"pipelines": {"ca": {kind: "company-ca", "key": "root.pem"}}}))
        volume = next(each for each in template["spec"]["volumes"] if each["name"] == "pipelines-ca")
        assert volume[kind] == {key: "company-ca", "items": [{"key": "root.pem", "path": "ca.crt"}]}
        mounts = template["spec"]["containers"][0]["volumeMounts"]
        assert {"name": "pipelines-ca", "mountPath": "/etc/runwright/pipelines", "readOnly": True} in mounts


def test_the_crd_is_the_generated_one_and_stays_when_the_release_goes(chart: Any) -> None:
    found = one(chart({}), "CustomResourceDefinition", f"{names.PLURAL}.{names.GROUP}")
    assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    from runwright_api.crd import crd

    assert found == crd()


def test_the_operator_reaches_the_api_server_dns_and_kfp_only(rendered: list[Object]) -> None:
    policy = one(rendered, "NetworkPolicy", "runwright-operator")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"protocol": "TCP", "port": 8080}]]
    api, dns, kfp = policy["egress"]
    assert [port["port"] for port in api["ports"]] == [443, 6443]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert kfp["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}}}]


def test_a_second_installation_shares_no_name_of_the_cluster(chart: Any) -> None:
    def shared(objects: list[Object]) -> set[tuple[str, str]]:
        return {(o["kind"], o["metadata"]["name"]) for o in objects if o["kind"] in CLUSTER_SCOPED}

    other = {"name": "other", "crds": {"install": False}, "run": {"serviceAccount": "other-run"}}
    assert shared(chart({"crds": {"install": False}})).isdisjoint(shared(chart(other)))


def test_the_lineage_server_reaches_the_operator_and_its_key_only_by_name(chart: Any) -> None:
    lineage = {"url": "http://marquez.data:5000", "secret": "openlineage"}
    (template,) = pods(chart({"run": {"openlineage": lineage}}))
    given = {each["name"]: each.get("value") for each in template["spec"]["containers"][0]["env"]}
    assert given["RUNWRIGHT_OPENLINEAGE_URL"] == lineage["url"]
    assert given["RUNWRIGHT_OPENLINEAGE_SECRET"] == lineage["secret"]
    (template,) = pods(chart({}))
    assert not [each for each in template["spec"]["containers"][0]["env"] if "OPENLINEAGE" in each["name"]]
