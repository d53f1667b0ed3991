"""What the stages after training are told: evaluate, package, register, deploy."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config, TaskKind


class Bound(Config):
    """One absolute bound of the gate: `min <= metric <= max`."""

    metric: str
    min: float | None = None
    max: float | None = None
    slice: str | None = None  # `column=value`: the bound holds on that slice


class EvaluateConfig(Config):
    task: TaskKind
    slices: tuple[str, ...] = ()  # columns
    gate: tuple[Bound, ...] = ()
    latency_requests: int = 200
    throughput_batch: int = 64
    calibration_bins: int = 10
    episodes: int = 50  # of an environment
    seed: int = 0  # of the episodes
    run_name: str = "run"


class PackageConfig(Config):
    name: str
    formats: tuple[Literal["safetensors", "onnx"], ...] = ("safetensors", "onnx")
    parity_tolerance: float = 1e-4  # largest absolute difference of outputs, torch against ONNX Runtime
    description: str = ""
    license: str = ""


class RegisterConfig(Config):
    name: str
    uri: str  # folder or s3:// prefix of the registry; versions are NAME/N under it
    endpoint: str | None = None
    region: str | None = None


class DeployConfig(Config):
    name: str
    mode: Literal["none", "local", "Standard", "Knative"] = "local"
