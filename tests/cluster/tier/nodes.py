"""Simulated nodes with GPUs, and how the pods on them behave. No I/O but the stage file beside this module.

kwok plays the kubelet by stages (pod_stages.yaml), which read annotations `sim/KEY` of a pod. Pods that a controller
makes carry no such annotation, so an admission policy of the tier copies them from the pod's namespace:
`sim.training/KEY` to all pods of a training job, `sim.training-worker-1/KEY` to that replica (`node-1` of a TrainJob,
`head-0` and `worker-0` of a RayJob), `sim.serving/KEY` to pods of an InferenceService.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

NODES = 8
GPUS = 8
RESOURCES = {"cpu": "64", "memory": "512Gi", "ephemeral-storage": "1Ti", "pods": "500", "nvidia.com/gpu": str(GPUS)}
STAGES = Path(__file__).with_name("pod_stages.yaml")
NODE_STAGES = ("kustomize/stage/node/fast/node-initialize.yaml", "kustomize/stage/node/heartbeat/node-heartbeat.yaml")
POLICY = "runwright-tier-simulation"
PORT = 10247


def node(number: int) -> Manifest:
    """One node with GPUs, in one of two zones."""
    name = f"gpu-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": f"zone-{number % 2}",
                "nvidia.com/gpu.present": "true",
                "type": "kwok",
            },
        },
        "status": {"allocatable": RESOURCES, "capacity": RESOURCES},
    }


def kwok(config: Path, kubeconfig: Path, address: str) -> list[str]:
    """Arguments of kwok. Its /healthz listens on `address`."""
    return [
        *(f"--kubeconfig={kubeconfig}", f"--config={config}", "--manage-nodes-with-label-selector=type=kwok"),
        *(f"--node-ip={address}", "--cidr=10.244.0.0/16", "--node-lease-duration-seconds=40"),
        f"--server-address={address}:{PORT}",
    ]


def kwok_config(module: Path) -> str:
    """kwok's own stages for nodes, ours for pods, one YAML stream."""
    return "\n---\n".join([*((module / path).read_text() for path in NODE_STAGES), STAGES.read_text()])


def stages() -> list[Manifest]:
    return list(yaml.safe_load_all(STAGES.read_text()))


def simulation_policy() -> list[Manifest]:
    """Copies what a namespace says of the behaviour of its pods to the pods; an annotation of the pod itself stays."""
    labels = "object.metadata.?labels.orValue({})"
    variables = {
        "labels": labels,
        "given": "object.metadata.?annotations.orValue({})",
        "said": "namespaceObject.metadata.?annotations.orValue({})",
        "kind": (
            "['training.kubeflow.org/job-name', 'jobset.sigs.k8s.io/jobset-name', 'ray.io/cluster']"
            ".exists(label, label in variables.labels) ? 'training' : "
            "'serving.kserve.io/inferenceservice' in variables.labels ? 'serving' : 'other'"
        ),
        "replica": (
            "variables.labels[?'training.kubeflow.org/replica-type']"
            ".or(variables.labels[?'jobset.sigs.k8s.io/replicatedjob-name'])"
            ".or(variables.labels[?'ray.io/node-type']).orValue('') + '-' + "
            "variables.labels[?'training.kubeflow.org/replica-index']"
            ".or(variables.labels[?'batch.kubernetes.io/job-completion-index']).orValue('0')"
        ),
    }
    prefixes = ("'sim.' + variables.kind + '/'", "'sim.' + variables.kind + '-' + variables.replica + '/'")
    mutations = [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _copy(p)}} for p in prefixes]
    group = "admissionregistration.k8s.io/v1beta1"
    return [
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
                    ]
                },
                "variables": [{"name": name, "expression": text} for name, text in variables.items()],
                "mutations": mutations,
                "reinvocationPolicy": "Never",
                "failurePolicy": "Fail",
            },
        },
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": POLICY},
            "spec": {"policyName": POLICY},
        },
    ]


def _copy(prefix: str) -> str:
    """The annotations of the namespace that begin with `prefix`, as `sim/KEY` of the pod."""
    key = f"'sim/' + k.substring(({prefix}).size())"
    wanted = f"k.startsWith({prefix}) && !(({key}) in variables.given)"
    copied = f"variables.said.transformMapEntry(k, v, {wanted}, {{{key}: v}})"
    return f"Object{{metadata: Object.metadata{{annotations: {copied}}}}}"
