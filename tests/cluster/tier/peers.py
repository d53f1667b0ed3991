"""Controllers that only some tests need: JobSet and Kubeflow Trainer 2 (TrainJob), KubeRay (RayJob).

Each is built and started when a test asks for it; its objects come from the manifests of its own module. No I/O here
but reading those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.tier.webhooks import by_url

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """One controller. Its name is that of its program (`binaries`), of its process and of its kubeconfig."""

    name: str
    namespace: str
    account: str
    probe_port: int
    crds: str
    """Where its module keeps them: a pattern of files."""
    role: str
    """The file with the ClusterRole of its account."""
    command: Callable[[Path, str], Sequence[str]]
    """Its arguments, given a folder of its own and the address to answer probes at. May write files to the folder."""
    webhook: str = ""
    """The file with its webhooks; where there is one, `service` and `webhook_port` say who answers them."""
    service: str = ""
    webhook_port: int = 0

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    @property
    def host(self) -> str:
        """Of its webhook."""
        return f"{self.service}.{self.namespace}.svc"

    def definitions(self, module: Path) -> list[Manifest]:
        """Its CRDs, which nothing converts."""
        found = [one for path in sorted(module.glob(self.crds)) for one in _documents(path)]
        return [{**one, "spec": {**one["spec"], "conversion": {"strategy": "None"}}} for one in found]

    def objects(self, module: Path, authority: bytes) -> list[Manifest]:
        """Account, rights and webhooks."""
        account = {"name": self.account, "namespace": self.namespace}
        (role,) = (one for one in _documents(module / self.role) if one["kind"] == "ClusterRole")
        role["metadata"]["name"] = f"tier-{self.name}"
        binding = {
            "apiVersion": role["apiVersion"],
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"tier-{self.name}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"tier-{self.name}"},
            "subjects": [{"kind": "ServiceAccount", **account}],
        }
        hooks = _documents(module / self.webhook) if self.webhook else []
        for hook in hooks:
            hook["metadata"]["name"] = f"{self.name}.tier"
            hook["webhooks"] = [_of_its_pods(one) for one in hook["webhooks"]]
        return [
            *({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, role, binding),
            *(by_url(hook, self.host, self.webhook_port, authority) for hook in hooks),
        ]


def _of_its_pods(hook: Manifest) -> Manifest:
    """JobSet's webhooks of pods are about its own; its kustomization says so in a patch of theirs."""
    if hook["rules"][0]["resources"] != ["pods"]:
        return hook
    its_own = {"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}
    return {**hook, "objectSelector": {"matchExpressions": [its_own]}}


def _job_set(folder: Path, address: str) -> list[str]:
    config = {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "webhook": {"port": JOB_SET.webhook_port},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": f"{address}:{JOB_SET.probe_port}"},
    }
    return [f"--config={_written(folder / 'jobset.json', config)}", "--zap-log-level=info"]


def _trainer(folder: Path, address: str) -> list[str]:
    config = {
        "apiVersion": "config.trainer.kubeflow.org/v1alpha1",
        "kind": "Configuration",
        "leaderElection": {"leaderElect": False},
        "certManagement": {"enable": False},
        "webhook": {"port": TRAINER.webhook_port},
        "metrics": {"bindAddress": "0", "secureServing": False},
        "health": {"healthProbeBindAddress": f"{address}:{TRAINER.probe_port}"},
    }
    return [f"--config={_written(folder / 'trainer.json', config)}", "--zap-log-level=info"]


def _kuberay(_folder: Path, address: str) -> list[str]:
    probes = f"--health-probe-bind-address={address}:{KUBERAY.probe_port}"
    return [probes, "--metrics-addr=0", "--enable-leader-election=false", "--qps=300", "--burst=600"]


JOB_SET = Peer(
    name="jobset",
    namespace="jobset-system",
    account="jobset",
    probe_port=8085,
    crds="config/components/crd/bases/*.yaml",
    role="config/components/rbac/role.yaml",
    command=_job_set,
    webhook="config/components/webhook/manifests.yaml",
    service="jobset-webhook-service",
    webhook_port=9445,
)
TRAINER = Peer(
    name="trainer",
    namespace="kubeflow-system",
    account="trainer",
    probe_port=8086,
    crds="manifests/base/crds/trainer.*.yaml",
    role="manifests/base/rbac/role.yaml",
    command=_trainer,
    webhook="manifests/base/webhook/manifests.yaml",
    service="kubeflow-trainer-controller-manager",
    webhook_port=9446,
)
KUBERAY = Peer(
    name="kuberay",
    namespace="ray-system",
    account="kuberay",
    probe_port=8087,
    crds="config/crd/bases/*.yaml",
    role="config/rbac/role.yaml",
    command=_kuberay,
)
HOSTS = tuple(peer.host for peer in (JOB_SET, TRAINER))


def _written(path: Path, config: Manifest) -> Path:
    path.write_text(json.dumps(config))
    return path


def _documents(path: Path) -> list[Manifest]:
    return [dict(found) for found in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if found]
