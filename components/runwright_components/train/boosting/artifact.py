"""The model's folder of a booster: the library's own file, the graph, the curves and the manifest that binds them."""

from __future__ import annotations

import shutil
from pathlib import Path

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    PREPROCESSING,
    Cost,
    History,
    ModelManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.files import folder_files, new_folder, write_bytes
from runwright_components.train.boosting.graph import export_forest
from runwright_components.train.boosting.library import Growth, Library
from runwright_components.train.lineage import lineage_of


def write_booster(
    content: bytes,
    library: Library,
    growth: Growth,
    config: TrainConfig,
    history: History,
    *,
    prepared: Path,
    out: Path,
    cost: Cost,
) -> ModelManifest:
    """Write the booster `content` as a model artifact to `out`, whole or not at all."""
    source = PreparedManifest.read(prepared)
    forest = library.forest(content)
    gains = forest.gains(len(growth.columns.names))
    with new_folder(out) as folder:
        write_bytes(folder / library.file, content)
        shutil.copytree(prepared / PREPROCESSING, folder / PREPROCESSING)
        tensors = export_forest(forest, growth.columns, growth.task, folder / ONNX)
        told = history.model_copy(update={"importance": dict(zip(growth.columns.names, gains, strict=True))})
        told.write(folder, HISTORY)
        files = folder_files(folder)
        manifest = ModelManifest(
            digest=model_digest(files),
            model=config.model,
            task=config.task,
            modality=config.modality,
            parameters=forest.parameters,
            classes=growth.classes,
            categories=source.categories,
            steps=len(history.epochs),
            best_epoch=history.best_epoch,
            precision="fp32",
            device="cpu",
            world_size=1,
            seconds=sum(epoch.seconds for epoch in history.epochs),
            cost=cost,
            files=files,
            signature=source.signature.model_copy(update={"tensors": tensors}),
            lineage=lineage_of(config, source),
        )
        manifest.write(folder)
    return manifest
