"""The training operator (PyTorchJob): its objects and its command, from the manifests of its own module."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.tier.certificates import Authority, Pair
from tests.cluster.tier.webhooks import by_url

Manifest = dict[str, Any]

NAME = "training-operator"
NAMESPACE = "kubeflow"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
HOSTS = (f"{NAME}.{NAMESPACE}.svc",)
WEBHOOK_PORT, PROBE_PORT, METRICS_PORT = 9443, 8081, 8080
WEBHOOK = "validator.training-operator.kubeflow.org"
KINDS = ("pytorchjobs",)
# The operator's own default names no security context, and a namespace that enforces `restricted` refuses the workers.
INIT_CONTAINER = """\
- name: init-pytorch
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  resources: {limits: {cpu: 100m, memory: 20Mi}, requests: {cpu: 50m, memory: 10Mi}}
  securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 65532, capabilities: {drop: [ALL]}}
  command: ['sh', '-c', 'for i in $(seq {{.MaxTries}}); do nslookup {{.MasterAddr}} && exit 0; sleep 2; done; exit 1']
"""


def crds(module: Path) -> list[Manifest]:
    """The CRDs of the kinds that we use."""
    return [_one(module / f"manifests/base/crds/kubeflow.org_{kind}.yaml") for kind in KINDS]


def objects(module: Path, authority: Authority, pair: Pair) -> list[Manifest]:
    """Namespace, account, rights, the Secret with the webhook's certificate (`pair`), and the webhook."""
    role = _one(module / "manifests/base/rbac/role.yaml")
    binding = _one(module / "manifests/base/rbac/cluster-role-binding.yaml")
    binding["subjects"][0]["namespace"] = NAMESPACE
    webhook = _one(module / "manifests/base/webhook/manifests.yaml")
    webhook["metadata"]["name"] = WEBHOOK
    webhook["webhooks"] = [hook for hook in webhook["webhooks"] if hook["rules"][0]["resources"][0] in KINDS]
    certificates = {"ca.crt": authority.pair.certificate, "ca.key": authority.pair.key}
    certificates |= {"tls.crt": pair.certificate, "tls.key": pair.key}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{NAME}-webhook-cert", "namespace": NAMESPACE},
        "data": {name: base64.b64encode(value).decode() for name, value in certificates.items()},
    }
    return [account, role, binding, secret, by_url(webhook, WEBHOOK_PORT, authority.pair.certificate)]


def command(binary: Path, kubeconfig: Path, init_container: Path, address: str) -> list[str]:
    """Its own limit of 20 requests a second would be what a test of many jobs measures."""
    return [
        *(str(binary), "--enable-scheme=pytorchjob", f"--kubeconfig={kubeconfig}"),
        *("--kube-api-qps=300", "--kube-api-burst=600", "--controller-threads=4", "--zap-log-level=info"),
        *(f"--webhook-server-port={WEBHOOK_PORT}", f"--metrics-bind-address=127.0.0.1:{METRICS_PORT}"),
        *(f"--health-probe-bind-address={address}:{PROBE_PORT}", "--webhook-secret-name", f"{NAME}-webhook-cert"),
        f"--pytorch-init-container-template-file={init_container}",
    ]


def _one(path: Path) -> Manifest:
    (found,) = (document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document)
    return dict(found)
