"""The InferenceService that a configuration makes, and whether a live one still holds it."""

import copy
from typing import Any

import pytest

from runwright_components.cluster.manifests import inference_service, wanted_equals
from runwright_components.cluster.manifests.comparing import quantity
from runwright_components.contract.cluster import ServiceConfig, StorageConfig

DIGEST = "sha256:" + "b" * 64
PACKAGE = "sha256:" + "c" * 64


def _service(storage: StorageConfig | None = None, **changes: Any) -> dict[str, Any]:
    return inference_service(
        ServiceConfig(image="registry.example/serve:1", **changes),
        namespace="team",
        name="churn",
        uid="uid-of-churn",
        revision=3,
        recipe="sha256:" + "a" * 64,
        package_uri="s3://bucket/registry/churn/7",
        package_digest=PACKAGE,
        model_digest=DIGEST,
        storage=storage or StorageConfig(uri="s3://bucket/team", secret="storage-access"),
    )


def _containers(service: dict[str, Any]) -> list[dict[str, Any]]:
    predictor = service["spec"]["predictor"]
    return [*predictor.get("initContainers", []), *predictor["containers"]]


def test_standard_fetches_in_an_init_container() -> None:
    service = _service(cpu="1", memory="1Gi", gpus=1)
    predictor = service["spec"]["predictor"]
    (fetch,), (serve,) = predictor["initContainers"], predictor["containers"]
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert (fetch["name"], serve["name"]) == ("model", "kserve-container")
    assert fetch["command"] == [
        *("python", "-m", "runwright_components.cluster.fetch"),
        *("s3://bucket/registry/churn/7", "/mnt/models", "--digest", PACKAGE),
    ]
    assert serve["command"] == [
        *("python", "-m", "runwright_components.serve"),
        *("--model-dir", "/mnt/models", "--name", "churn", "--port", "8080"),
        *("--drain-seconds", "5", "--grace-seconds", "20"),
    ]
    assert fetch["envFrom"] == [{"secretRef": {"name": "storage-access"}}]
    assert "envFrom" not in serve, "the server needs no access to storage"
    assert serve["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": "1"}
    assert serve["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 8080}
    assert predictor["minReplicas"] == 1


def test_knative_fetches_and_serves_in_one_container() -> None:
    service = _service(mode="Knative")
    (container,) = _containers(service)
    at = container["command"].index("--")
    assert container["command"][2] == "runwright_components.cluster.fetch"
    assert container["command"][at + 1 : at + 4] == ["python", "-m", "runwright_components.serve"]
    assert "securityContext" not in service["spec"]["predictor"], "Knative refuses a pod's security context"
    assert container["envFrom"] == [{"secretRef": {"name": "storage-access"}}]


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_containers_meet_pod_security_restricted(mode: str) -> None:
    for container in _containers(_service(mode=mode)):
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["readOnlyRootFilesystem"] is True


def test_digests_stand_on_the_object_and_on_its_pods() -> None:
    service = _service()
    for annotations in (service["metadata"]["annotations"], service["spec"]["predictor"]["annotations"]):
        assert annotations["runwright.dev/model-digest"] == DIGEST
        assert annotations["runwright.dev/recipe"] == "sha256:" + "a" * 64
    assert service["spec"]["predictor"]["labels"]["runwright.dev/revision"] == "3"


def test_only_an_owned_service_goes_with_the_training_run() -> None:
    assert _service()["metadata"]["ownerReferences"][0]["uid"] == "uid-of-churn"
    assert "ownerReferences" not in _service(owned=False)["metadata"]


def test_a_uri_is_never_expanded() -> None:
    service = inference_service(
        ServiceConfig(image="i"),
        namespace="n",
        name="churn",
        uid="u",
        revision=1,
        recipe="r",
        package_uri="s3://b/$(HOME)",
        package_digest=PACKAGE,
        model_digest=DIGEST,
        storage=StorageConfig(uri="s3://b"),
    )
    assert _containers(service)[0]["command"][3] == "s3://b/$$(HOME)"


def test_what_the_webhooks_add_is_no_difference() -> None:
    wanted = _service(cpu="0.5", memory="1024Mi")
    live = copy.deepcopy(wanted)
    live["metadata"] |= {"uid": "x", "generation": 4, "resourceVersion": "9", "managedFields": []}
    live["metadata"]["annotations"]["serving.kserve.io/other"] = "theirs"
    container = live["spec"]["predictor"]["containers"][0]
    container["resources"] = {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "1Gi", "cpu": "1"},
    }
    container["env"].append({"name": "ADDED", "value": "by a webhook"})
    container["volumeMounts"].insert(0, {"name": "added", "mountPath": "/added"})
    live["spec"]["predictor"]["containers"].append({"name": "sidecar"})
    live["status"] = {"url": "http://churn.team"}
    assert wanted_equals(live, wanted)


@pytest.mark.parametrize(
    "change",
    [
        lambda live: live["metadata"]["annotations"].update({"runwright.dev/model-digest": "sha256:other"}),
        lambda live: live["metadata"]["labels"].pop("runwright.dev/revision"),
        lambda live: live["metadata"].pop("ownerReferences"),
        lambda live: live["spec"]["predictor"].update(minReplicas=0),
        lambda live: live["spec"]["predictor"].pop("initContainers"),
        lambda live: live["spec"]["predictor"]["containers"][0].update(image="other"),
        lambda live: live["spec"]["predictor"]["containers"][0]["command"].append("--access-log"),
        lambda live: live["spec"]["predictor"]["containers"][0]["resources"]["requests"].update(cpu="501m"),
        lambda live: live["spec"]["predictor"]["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
        lambda live: live["spec"]["predictor"].update(automountServiceAccountToken=True),
        lambda live: live["spec"].update(predictor=None),
    ],
)
def test_what_a_hand_changed_is_a_difference(change: Any) -> None:
    wanted = _service(cpu="500m")
    live = copy.deepcopy(wanted)
    assert wanted_equals(live, wanted)
    change(live)
    assert not wanted_equals(live, wanted)


def test_what_is_no_longer_wanted_is_a_difference() -> None:
    before, after = _service(cpu="500m", gpus=1), _service(cpu="500m")
    assert not wanted_equals(before, after), "the GPU must be given back"


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.5", "500m"), ("1Gi", "1024Mi"), ("1e3", "1k"), ("1000", "1k"), ("2", "2000m"), (".5", "0.50")],
)
def test_quantities_are_compared_by_value(one: str, other: str) -> None:
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1Gb", "--1", "1e", "NaN", "1e99999"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert quantity(text) is None
