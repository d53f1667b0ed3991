"""The model's folder of a policy: weights, graph, curves and the manifest that binds them."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    PREPROCESSING,
    WEIGHTS,
    Cost,
    History,
    ModelManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.config import ReinforcementConfig, TrainConfig
from runwright_components.contract.files import folder_files, new_folder
from runwright_components.features.environment import ACTION, OBSERVATION, SCORES
from runwright_components.models.onnx_export import export_graph
from runwright_components.models.weights import save_tensors
from runwright_components.train.lineage import lineage_of
from runwright_components.train.reinforcement.policy import POLICY, Policy


def write_policy(
    policy: Policy,
    learned: ReinforcementConfig,
    config: TrainConfig,
    history: History,
    *,
    prepared: Path,
    out: Path,
    steps: int,
    cost: Cost,
) -> ModelManifest:
    """Write `policy`, which learned as the resolved `learned` says, as a model artifact to `out`, whole or not at
    all."""
    source = PreparedManifest.read(prepared)
    fields = len(policy.settings.observation.names)
    several = policy.settings.actions.kind != "numbers"
    with new_folder(out) as folder:
        save_tensors({name: tensor.contiguous() for name, tensor in policy.state_dict().items()}, folder / WEIGHTS)
        policy.settings.write(folder, POLICY)
        shutil.copytree(prepared / PREPROCESSING, folder / PREPROCESSING)
        tensors = export_graph(
            policy,
            {OBSERVATION: torch.zeros(2, fields)},
            dynamic={OBSERVATION: {0: torch.export.Dim("batch")}},
            inputs=[OBSERVATION],
            outputs=[ACTION, SCORES] if several else [ACTION],
            path=folder / ONNX,
        )
        history.write(folder, HISTORY)
        files = folder_files(folder)
        manifest = ModelManifest(
            digest=model_digest(files),
            model=config.model.model_copy(update={"hidden": policy.settings.hidden, "algorithm": learned.algorithm}),
            task=config.task,
            modality=config.modality,
            parameters=sum(parameter.numel() for parameter in policy.parameters()),
            classes=policy.settings.actions.outputs,
            steps=steps,
            best_epoch=history.best_epoch,
            precision="fp32",
            device="cpu",
            world_size=1,
            seconds=cost.seconds,
            cost=cost,
            files=files,
            signature=source.signature.model_copy(update={"tensors": tensors}),
            lineage=lineage_of(config, source),
        )
        manifest.write(folder)
    return manifest
