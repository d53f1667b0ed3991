"""What the user's code left, as a model like any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    OUTPUTS,
    PREPROCESSING,
    WEIGHTS,
    ModelManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.files import folder_files, new_folder
from runwright_components.contract.progress import Progress
from runwright_components.train.code.exports import TENSORS, Export, find_export
from runwright_components.train.code.metrics import Metrics
from runwright_components.train.code.schema import output_of
from runwright_components.train.code.workplace import Workplace
from runwright_components.train.lineage import lineage_of


def take_export(
    config: TrainConfig,
    place: Workplace,
    metrics: Metrics,
    *,
    exported: Callable[[Export], Path],
    out: Path,
    progress: Progress,
    nodes: int,
    device: Literal["cpu", "cuda"],
    seconds: float,
) -> ModelManifest:
    """Check what lies in `place.model` and write it as a model to `out`.

    `exported` makes the graph of weights in safetensors; `nodes`, `device` and `seconds` say how it was trained. Raises
    StageError (UserCodeError) when there is nothing that can be served, or when it does not fit the prepared data.
    """
    from runwright_components.train.code.graph import adapt, parameters
    from runwright_components.train.code.parity import check_answers, difference

    assert config.code is not None
    export = find_export(place.model, config.code)
    progress.note(f"checking the model that the code left ({export.kind})")
    graph = exported(export) if export.kind == "safetensors" else export.path
    history = metrics.history(resumed=place.resume)
    source = PreparedManifest.read(place.prepared)
    output = output_of(source)
    with new_folder(out) as folder:
        tensors = adapt(graph, source.signature.tensors, output, folder / ONNX)
        check_answers(folder / ONNX, place.prepared, output)
        shutil.copytree(place.prepared / PREPROCESSING, folder / PREPROCESSING)
        if export.path.name == TENSORS:
            shutil.copyfile(export.path, folder / WEIGHTS)
        outputs = (graph.parent / OUTPUTS, place.model / OUTPUTS)
        if (own := next((path for path in outputs if path.is_file()), None)) is not None:
            shutil.copyfile(own, folder / OUTPUTS)
            difference(folder, place.prepared)  # it can be compared; the package stage judges how much it may be
        history.write(folder, HISTORY)
        files = folder_files(folder)
        manifest = ModelManifest(
            digest=model_digest(files),
            model=config.model,
            task=config.task,
            modality=config.modality,
            parameters=parameters(folder / ONNX),
            classes=len(source.signature.labels) or 1,
            categories=source.categories,
            vocabulary=source.vocabulary,
            steps=metrics.steps,
            best_epoch=history.best_epoch,
            precision="fp32",
            device=device,
            world_size=config.code.ray_workers or config.processes * nodes,
            seconds=round(seconds, 3),
            files=files,
            signature=source.signature.model_copy(update={"tensors": tensors}),
            lineage=lineage_of(config, source),
        )
        manifest.write(folder)
    return manifest
