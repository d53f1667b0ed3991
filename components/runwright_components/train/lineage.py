"""Where a trained model comes from, the same for every family of models."""

from __future__ import annotations

from importlib.metadata import version

from runwright_components.contract.artifacts import Lineage, PreparedManifest
from runwright_components.contract.config import TrainConfig


def lineage_of(config: TrainConfig, source: PreparedManifest, **inputs: str) -> Lineage:
    """The lineage of a model that learned from `source`; `inputs` are digests of what else it read, by name."""
    return Lineage(
        stage="train",
        config=config.digest(),
        inputs={"prepared": source.digest, **inputs},
        version=version("runwright"),
        parents=(source.lineage,),
    )
