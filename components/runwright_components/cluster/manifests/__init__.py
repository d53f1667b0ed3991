"""Kubernetes objects as plain data: built from configurations, and judged by their status. No I/O here."""

from runwright_components.cluster.manifests.comparing import wanted_equals
from runwright_components.cluster.manifests.inference_service import inference_service
from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.cluster.manifests.pytorchjob import pytorch_job
from runwright_components.cluster.manifests.rayjob import ray_job
from runwright_components.cluster.manifests.serving import Readiness, readiness
from runwright_components.cluster.manifests.trainjob import train_job, training_runtime

__all__ = [
    "Manifest",
    "Readiness",
    "inference_service",
    "pytorch_job",
    "ray_job",
    "readiness",
    "train_job",
    "training_runtime",
    "wanted_equals",
]
