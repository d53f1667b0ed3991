"""KServe in Standard mode: its objects and its command, from the manifests of its own module.

No Knative, no Istio, no Gateway API: a model's URL follows from the ingress domain alone.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.tier.webhooks import by_url

Manifest = dict[str, Any]

NAME = "kserve-controller-manager"
NAMESPACE = "kserve"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
HOST = f"kserve-webhook-server-service.{NAMESPACE}.svc"  # of its webhook
WEBHOOK_PORT, PROBE_PORT, METRICS_PORT = 9444, 8083, 8082
DOMAIN = "models.example.com"
CRDS = (
    "serving.kserve.io_clusterservingruntimes.yaml",
    "serving.kserve.io_inferencegraphs.yaml",
    "serving.kserve.io_inferenceservices.yaml",
    "serving.kserve.io_servingruntimes.yaml",
    "serving.kserve.io_trainedmodels.yaml",
    "clusterstoragecontainer",
)
SETTINGS: dict[str, dict[str, Any]] = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {
        "enableGatewayApi": False,
        "ingressGateway": "knative-serving/knative-ingress-gateway",
        "localGateway": "knative-serving/knative-local-gateway",
        "localGatewayService": "knative-local-gateway.istio-system.svc.cluster.local",
        "ingressDomain": DOMAIN,
        "ingressClassName": "nginx",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
        "disableIstioVirtualHost": True,
        "disableIngressCreation": True,
    },
}


def crds(module: Path) -> list[Manifest]:
    """Every CRD that the controller watches."""
    return [crd for name in CRDS for path in _files(module / "config/crd/full" / name) for crd in _documents(path)]


def objects(module: Path, authority: bytes) -> list[Manifest]:
    """Account, rights, settings (its own but for Standard mode and no ingress) and webhooks."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}
    (role,) = (r for r in _documents(module / "config/rbac/role.yaml") if r["kind"] == "ClusterRole")
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "kserve-manager-rolebinding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }
    (settings,) = _documents(module / "config/configmap/inferenceservice.yaml")
    settings = copy.deepcopy(settings)
    settings["metadata"]["namespace"] = NAMESPACE
    settings["data"].pop("_example", None)
    settings["data"] |= {name: json.dumps(value) for name, value in SETTINGS.items()}
    hooks = _documents(module / "config/webhook/manifests.yaml")
    return [
        *(account, role, binding, settings),
        *(by_url(hook, HOST, WEBHOOK_PORT, authority) for hook in hooks),
    ]


def command(binary: Path, kubeconfig: Path, address: str) -> list[str]:
    return [
        *(str(binary), f"--kubeconfig={kubeconfig}", f"--webhook-port={WEBHOOK_PORT}"),
        *(f"--metrics-addr=127.0.0.1:{METRICS_PORT}", f"--health-probe-addr={address}:{PROBE_PORT}"),
    ]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.glob("*.yaml") if p.name != "kustomization.yaml")


def _documents(path: Path) -> list[Manifest]:
    return [dict(found) for found in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if found]
