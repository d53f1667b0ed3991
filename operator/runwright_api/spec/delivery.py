"""`spec.package`, `register`, `storage` and `deploy`: from a judged model to one that serves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.shared import SET, Compute, SecretRef, unique
from runwright_api.text import Duration, FilePath, HttpUrl, Lines, Text, Word

Location = FilePath
"""A folder, or a prefix in object storage (s3://bucket/prefix)."""


class Quantized(Part):
    """A smaller copy of the model with fewer bits a weight."""

    precision: Literal["int8", "int4", "fp8"] = "int8"
    """Default: int8."""
    tolerance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """How much of the gate's first metric may be lost. Default: 0.01."""


Formats = Annotated[
    tuple[Literal["safetensors", "onnx"], ...],
    Field(min_length=1, max_length=2, json_schema_extra=SET),
    Lax,
    AfterValidator(unique),
]


class PackageSpec(Part):
    """What the package holds, beside preprocessing, labels, signature, metrics, model card and lineage."""

    formats: Formats = ("safetensors", "onnx")
    """Formats of the weights; the server needs onnx. Default: both."""
    quantized: Quantized | None = None
    """A quantized copy. Not available yet."""
    description: Lines = ""
    """What the model is for; it stands in the model card."""
    license: Word = ""
    """SPDX name of the model's license; it stands in the model card."""
    parity_tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-4
    """Largest difference between the outputs of torch and ONNX Runtime. Default: 0.0001."""

    rules = (
        Rule(
            message="formats has onnx, which evaluation and the server run",
            broken=lambda self: unless("onnx" in self.formats, "formats"),
            cel="!has(self.formats) || 'onnx' in self.formats",
            cure="add onnx",
        ),
    )


class MlflowRegistry(Part):
    """An MLflow model registry."""

    tracking_uri: HttpUrl
    """Address of the MLflow server."""
    model: Word | None = None
    """Name of the registered model. Default: the run's name."""
    secret_ref: SecretRef | None = None
    """Secret with MLFLOW_TRACKING_TOKEN."""


class KubeflowModelRegistry(Part):
    """A Kubeflow Model Registry."""

    url: HttpUrl
    """Address of the registry."""
    model: Word | None = None
    """Name of the registered model. Default: the run's name."""
    secret_ref: SecretRef | None = None
    """Secret with the access token."""


class HuggingFaceHub(Part):
    """A repository of the Hugging Face Hub."""

    repository: Text
    """For example acme/churn."""
    private: bool = True
    """Default: true."""
    secret_ref: SecretRef | None = None
    """Secret with HF_TOKEN."""


class RegisterSpec(Part):
    """Where packages that passed the gate are published, as numbered versions."""

    uri: Location | None = None
    """Folder or s3:// prefix. Default: the registry of the workspace, or the administrator's."""
    mlflow: MlflowRegistry | None = None
    """Register in MLflow too. Not available yet."""
    model_registry: KubeflowModelRegistry | None = None
    """Register in Kubeflow Model Registry too. Not available yet."""
    hugging_face_hub: HuggingFaceHub | None = None
    """Push to the Hugging Face Hub too. Not available yet."""


class StorageSpec(Part):
    """Where artifacts, checkpoints and packages lie. Used in a cluster only; a machine has its workspace."""

    uri: Location | None = None
    """s3://, gs://, az:// or pvc:// prefix. Default: what the administrator configured."""
    secret_ref: SecretRef | None = None
    """Secret with the credentials."""

    rules = (
        Rule(
            message="storage.uri is an address in storage",
            broken=lambda self: unless(
                self.uri is None or self.uri.startswith(("s3://", "gs://", "az://", "pvc://")), "uri"
            ),
            cel="!has(self.uri) || self.uri.matches('^(s3|gs|az|pvc)://')",
            cure="for example s3://bucket/runs",
        ),
    )


class DeployResources(Compute):
    """What a serving pod asks of its node."""

    gpus: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs. Default: 0."""


class Scaling(Part):
    """How many serving pods there are."""

    min_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Default: 1. 0 needs mode Knative."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Default: 1."""
    metric: Literal["cpu", "memory", "concurrency", "rps"] = "cpu"
    """What scaling follows. Default: cpu."""
    target: Annotated[int, Field(ge=1, le=1_000_000)] = 80
    """Value of the metric that is aimed at: percent, requests or requests a second. Default: 80."""


class CanaryStep(Part):
    """One step of a rollout."""

    weight: Annotated[int, Field(ge=0, le=100)]
    """Share of the traffic that the new model gets, in percent."""
    pause: Duration | None = None
    """How long the step lasts at least."""


class AnalysisBound(Part):
    """A bound that the new model must keep while it is rolled out."""

    metric: Literal["errorRate", "latencyP50Ms", "latencyP99Ms"]
    """What is measured on live traffic."""
    max: Annotated[float, Field(ge=0.0, le=1e9)]
    """Greatest value that passes."""


class Rollout(Part):
    """How traffic moves to a new model."""

    steps: Annotated[tuple[CanaryStep, ...], Field(max_length=16), Lax] = ()
    """Steps, in order. Default: all at once."""
    analysis: Annotated[tuple[AnalysisBound, ...], Field(max_length=16), Lax] = ()
    """Bounds that are watched at each step."""
    automatic_rollback: bool = True
    """Go back when a bound is broken. Default: true."""


class DeploySpec(Part):
    """The InferenceService. On one machine, the newest version that passed simply becomes the one that serves."""

    mode: Literal["Standard", "Knative", "None"] = "Standard"
    """How KServe runs it; None deploys nothing. Default: Standard."""
    resources: DeployResources = DeployResources()
    """What a serving pod asks of its node. Used in a cluster only."""
    scaling: Scaling | None = None
    """How many serving pods there are. Not available yet."""
    rollout: Rollout | None = None
    """Canary steps and analysis. Not available yet."""
    revision: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Serve this revision, whatever newer ones there are. Used in a cluster only. Default: the newest that passed."""
    timeout: Duration = "10m"
    """A model that is not ready to serve by then is taken back. Used in a cluster only. Default: 10m."""
    on_delete: Literal["Delete", "Keep"] = "Delete"
    """What becomes of the InferenceService when the TrainingRun is deleted. Used in a cluster only. Default: Delete."""
