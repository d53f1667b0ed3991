"""What the train stage is told of the user's own code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runwright_components.contract.config.base import Config


class CodeConfig(Config):
    """Either `path` (and, of a folder, `entrypoint`) or `command`; docs/own-code.md is the contract."""

    path: str | None = None  # a Python file or a folder, relative to the TrainingRun's; or s3://
    entrypoint: str | None = None  # MODULE or MODULE:FUNCTION
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default={})
    pass_env: tuple[str, ...] = ()  # further variables of the surrounding environment that the code may see
    exports: Literal["auto", "onnx", "safetensors", "mlflow"] = "auto"
    timeout_seconds: int | None = None
    ray_workers: int | None = None  # for Ray Train: one program, which has Ray start so many workers; None: no Ray
    ray_storage: str | None = None  # where all of Ray's nodes keep checkpoints; None: the folder of checkpoints
