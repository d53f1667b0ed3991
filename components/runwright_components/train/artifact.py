"""The model's folder: weights, graph, curves, preprocessing and the manifest that binds them."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import nn

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    PREPROCESSING,
    WEIGHTS,
    Cost,
    History,
    ModelManifest,
    PreparedManifest,
    Tensor,
    model_digest,
)
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.files import folder_files, new_folder, write_json
from runwright_components.models import ENCODER, Shape, export_onnx, save_tensors, untied
from runwright_components.models.lora import merge
from runwright_components.train.lineage import lineage_of
from runwright_components.train.ranks import Ranks


def write_model(
    module: nn.Module,
    *,
    shape: Shape,
    config: TrainConfig,
    prepared: Path,
    out: Path,
    history: History,
    precision: str,
    ranks: Ranks,
    seconds: float,
    cost: Cost | None = None,
) -> ModelManifest:
    """Write `module` as a model artifact to `out`, whole or not at all."""
    source = PreparedManifest.read(prepared)
    module = module.to("cpu").eval()
    if config.model.lora is not None:
        module = merge(module)
    with new_folder(out) as folder:
        weights = {name: tensor.contiguous() for name, tensor in untied(module.state_dict()).items()}
        save_tensors(weights, folder / WEIGHTS)
        shutil.copytree(prepared / PREPROCESSING, folder / PREPROCESSING)
        tensors = _write_graph(module, shape, config, folder)
        history.write(folder, HISTORY)
        files = folder_files(folder)
        manifest = ModelManifest(
            digest=model_digest(files),
            model=config.model,
            task=config.task,
            modality=config.modality,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            classes=shape.classes,
            categories=shape.categories,
            vocabulary=shape.vocabulary or None,
            steps=history.epochs[-1].step,
            best_epoch=history.best_epoch,
            precision=precision,
            device=ranks.device.type,
            world_size=ranks.world,
            seconds=seconds,
            cost=cost,
            files=files,
            signature=source.signature.model_copy(update={"tensors": tensors}),
            lineage=lineage_of(config, source, **_encoder(module)),
        )
        manifest.write(folder)
    return manifest


def _encoder(module: nn.Module) -> dict[str, str]:
    """The digest of the encoder that training started from, where there is one."""
    digest = getattr(module, "digest", "")
    return {"pretrained": digest} if digest else {}


def _write_graph(module: nn.Module, shape: Shape, config: TrainConfig, folder: Path) -> tuple[Tensor, ...]:
    """The graph, and what besides the configuration builds the module again; returns the graph's tensors."""
    if config.task == "generation":
        from runwright_components.models.decoder import DECODER, Decoder
        from runwright_components.models.decoder_export import export_decoder

        assert isinstance(module, Decoder)
        module.settings.write(folder, DECODER)
        return export_decoder(module, folder / ONNX)
    if config.model.name == "pretrained":
        from runwright_components.models.encoders import encoder_settings
        from runwright_components.models.pretrained import Pretrained

        assert isinstance(module, Pretrained)
        write_json(folder / ENCODER, encoder_settings(module.encoder))
    return export_onnx(module, shape, folder / ONNX)
