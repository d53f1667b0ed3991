"""The InferenceService of a TrainingRun, built alike by the deploy step and by the operator, so that neither undoes
what the other wrote.

Standard mode fetches the package in an init container. Knative takes no init containers and no security context of a
pod, so there the serving container fetches the package itself before it becomes the server.
"""

from __future__ import annotations

import hashlib

from runwright_components.cluster.manifests.pods import (
    NO_SIDECAR,
    PYTHON,
    Manifest,
    container_security,
    environment,
    labels,
    literal,
    owner_reference,
    pod_security,
    resources,
    scratch,
    secret_environment,
    storage_environment,
)
from runwright_components.contract.cluster import (
    ANNOTATION_MODEL_DIGEST,
    ANNOTATION_RECIPE,
    GROUP,
    ServiceConfig,
    StorageConfig,
)
from runwright_components.contract.files import canonical_json

API_VERSION = "serving.kserve.io/v1beta1"
KIND = "InferenceService"
PLURAL = "inferenceservices"
CONTAINER = "kserve-container"
INIT_CONTAINER = "model"
LABEL_SERVICE = "serving.kserve.io/inferenceservice"  # KServe puts it on the pods
ANNOTATION_MODE = "serving.kserve.io/deploymentMode"
ANNOTATION_PACKAGE_DIGEST = f"{GROUP}/package-digest"
ANNOTATION_SPEC_DIGEST = f"{GROUP}/spec-digest"  # so that a field which is no longer wanted shows as a difference
MODEL_DIR = "/mnt/models"
PORT = 8080
DRAIN_SECONDS = 5  # until every node has heard that the pod ends; with the next, less than Kubernetes' 30 s
GRACE_SECONDS = 20  # for requests in flight then
FETCH = "runwright_components.cluster.fetch"
SERVE = "runwright_components.serve"


def inference_service(
    service: ServiceConfig,
    *,
    namespace: str,
    name: str,
    uid: str,
    revision: int,
    recipe: str,
    package_uri: str,
    package_digest: str,
    model_digest: str,
    storage: StorageConfig,
) -> Manifest:
    """The service `name` of the TrainingRun of that name, serving the package at `package_uri`."""
    identity = labels(run=name, uid=uid, revision=revision)
    digests = {
        ANNOTATION_MODEL_DIGEST: model_digest,
        ANNOTATION_PACKAGE_DIGEST: package_digest,
        ANNOTATION_RECIPE: recipe,
    }
    metadata: Manifest = {
        "name": name,
        "namespace": namespace,
        "labels": identity,
        "annotations": {ANNOTATION_MODE: service.mode, **digests},
    }
    if service.owned:
        metadata["ownerReferences"] = [owner_reference(name=name, uid=uid)]
    standard = service.mode == "Standard"
    predictor: Manifest = {
        "minReplicas": 1,
        "labels": {**identity, **(NO_SIDECAR if standard else {})},
        "annotations": {**digests, **(NO_SIDECAR if standard else {})},
        "serviceAccountName": service.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **_containers(service, name, package_uri, package_digest, storage),
    }
    spec: Manifest = {"predictor": predictor}
    metadata["annotations"][ANNOTATION_SPEC_DIGEST] = "sha256:" + hashlib.sha256(canonical_json(spec)).hexdigest()
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def _containers(
    service: ServiceConfig, name: str, package_uri: str, package_digest: str, storage: StorageConfig
) -> Manifest:
    tmp, tmp_mount = scratch()
    model, model_mount = scratch("model", MODEL_DIR)
    fetch = [*PYTHON, FETCH, literal(package_uri), MODEL_DIR, "--digest", package_digest]
    serve = [*PYTHON, SERVE, "--model-dir", MODEL_DIR, "--name", name, "--port", str(PORT)]
    serve += ["--drain-seconds", str(DRAIN_SECONDS), "--grace-seconds", str(GRACE_SECONDS)]
    home = {"HOME": "/tmp"}  # noqa: S108
    access = {
        "env": environment({**home, **storage_environment(storage)}),
        **secret_environment(storage),
    }
    shared: Manifest = {
        "image": service.image,
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [tmp_mount, model_mount],
    }
    server: Manifest = {
        "name": CONTAINER,
        **shared,
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": PORT}, "periodSeconds": 2},
        "resources": resources(cpu=service.cpu, memory=service.memory, gpus=service.gpus),
    }
    volumes = [tmp, model]
    if service.mode == "Knative":
        return {"containers": [{**server, **access, "command": [*fetch, "--", *serve]}], "volumes": volumes}
    loader = {"name": INIT_CONTAINER, **shared, **access, "command": fetch}
    if service.memory:  # the largest of the init containers and the sum of the others counts: this costs nothing
        loader["resources"] = resources(cpu=service.cpu, memory=service.memory, gpus=0)
    server |= {"env": environment(home), "command": serve}
    return {
        "securityContext": pod_security(),
        "initContainers": [loader],
        "containers": [server],
        "volumes": volumes,
    }
