"""What the configurations of all stages have in common."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Modality = Literal["tabular", "text", "image", "series", "environment"]
TaskKind = Literal[
    "classification", "regression", "generation", "forecasting", "anomaly", "clustering", "embedding",
    "control",
]  # fmt: skip
ColumnType = Literal["numeric", "categorical", "boolean", "datetime", "text", "image", "ignore"]
Format = Literal["csv", "json", "jsonl", "parquet", "avro", "orc", "arrow", "excel", "images", "text"]
SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Config(BaseModel):
    """Base of every stage configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> str:
        """The one JSON text of this configuration: sorted keys, no white space."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def digest(self) -> str:
        """SHA-256 of `canonical()`, as `sha256:HEX`."""
        return "sha256:" + hashlib.sha256(self.canonical().encode()).hexdigest()


def parse(model: type[Config], text: str) -> Any:
    """Read a stage's configuration from its JSON text.

    Raises `StageError` (reason InvalidConfig) that names the field.
    """
    from pydantic import ValidationError

    from runwright_components.contract.outcome import Reason, StageError

    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{model.__name__}.{where}: {first['msg']}",
            cure="the pipeline and the component image are of different versions; compile again with this version",
        ) from error
