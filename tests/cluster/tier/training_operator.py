"""The training operator (PyTorchJob): its objects and its command, from the manifests of its own module."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.tier.webhooks import by_url

Manifest = dict[str, Any]

NAME = "training-operator"
NAMESPACE = "kubeflow"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
HOST = f"{NAME}.{NAMESPACE}.svc"  # of its webhook
SECRET = f"{NAME}-webhook-cert"  # its rotator makes the certificates and keeps them there
WEBHOOK_PORT, PROBE_PORT, METRICS_PORT = 9443, 8081, 8080
WEBHOOK = "validator.training-operator.kubeflow.org"
KINDS = ("pytorchjobs",)
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "capabilities": {"drop": ["ALL"]},
}
# What the operator itself runs, and its own words: its image, how often it asks, and the master's name.
_NSLOOKUP = "for i in $(seq {{.MaxTries}}); do nslookup {{.MasterAddr}} && exit 0; sleep 2; done; exit 1"


def crds(module: Path) -> list[Manifest]:
    """The CRDs of the kinds that we use."""
    return [_one(module / f"manifests/base/crds/kubeflow.org_{kind}.yaml") for kind in KINDS]


def objects(module: Path) -> list[Manifest]:
    """Account, rights, the empty Secret for the webhook's certificates, and the webhook."""
    role = _one(module / "manifests/base/rbac/role.yaml")
    binding = _one(module / "manifests/base/rbac/cluster-role-binding.yaml")
    binding["subjects"][0]["namespace"] = NAMESPACE
    webhook = _one(module / "manifests/base/webhook/manifests.yaml")
    webhook["metadata"]["name"] = WEBHOOK
    webhook["webhooks"] = [hook for hook in webhook["webhooks"] if hook["rules"][0]["resources"][0] in KINDS]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": NAMESPACE}}
    return [account, role, binding, secret, by_url(webhook, HOST, WEBHOOK_PORT)]


def init_container(image: str = "{{.InitContainerImage}}", command: Sequence[str] = ("sh", "-c", _NSLOOKUP)) -> str:
    """The template of the workers' init container. The operator's own one names no security context, and a namespace
    that enforces `restricted` refuses the workers."""
    return f"""\
- name: init-pytorch
  image: "{image}"
  imagePullPolicy: IfNotPresent
  resources: {{limits: {{cpu: 100m, memory: 20Mi}}, requests: {{cpu: 50m, memory: 10Mi}}}}
  securityContext: {json.dumps(_RESTRICTED)}
  command: {json.dumps(list(command))}
"""


def command(binary: Path, kubeconfig: Path, init_container: Path, address: str) -> list[str]:
    """Its own limit of 20 requests a second would be what a test of many jobs measures."""
    return [
        *(str(binary), "--enable-scheme=pytorchjob", f"--kubeconfig={kubeconfig}"),
        *("--kube-api-qps=300", "--kube-api-burst=600", "--controller-threads=4", "--zap-log-level=info"),
        *(f"--webhook-server-port={WEBHOOK_PORT}", f"--metrics-bind-address=127.0.0.1:{METRICS_PORT}"),
        *(f"--health-probe-bind-address={address}:{PROBE_PORT}", f"--webhook-secret-name={SECRET}"),
        f"--pytorch-init-container-template-file={init_container}",
    ]


def _one(path: Path) -> Manifest:
    (found,) = (document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document)
    return dict(found)
