"""Fine-tuning through the train stage: which layers learn when, and where the encoder came from."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from runwright_components.contract.artifacts import ModelManifest
from runwright_components.contract.config import (
    AugmentConfig,
    DistributedConfig,
    ModelConfig,
    TrainConfig,
    UnfreezeConfig,
)
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.storage.encoder import encoder_digest
from runwright_components.train import parallel, train
from runwright_components.train.ranks import Ranks
from runwright_components.train.shards import shard_name

LAYER = "encoder.layers.{}.mlp.fc1.weight"


@pytest.fixture
def encoder(images: Path) -> Path:
    """A vision transformer of two layers beside the prepared images."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(image_size=8, patch_size=4, **sizes)).save_pretrained(images.parent / "encoder")
    return images.parent / "encoder"


@pytest.fixture
def tuning(config: TrainConfig, encoder: Path) -> TrainConfig:
    model = ModelConfig(name="pretrained", pretrained=encoder.name)
    update = {"modality": "image", "model": model, "epochs": 2, "early_stopping": None, "base": str(encoder.parent)}
    return config.model_copy(update=update)


def run(config: TrainConfig, prepared: Path, name: str = "model", *, resume: bool = False) -> ModelManifest:
    folder = prepared.parent
    return train(
        config,
        prepared=prepared,
        out=folder / name,
        checkpoints=folder / f"{name}.checkpoints",
        resume=resume,
        progress=silent(),
    )


def last(prepared: Path, name: str = "model") -> dict[str, torch.Tensor]:
    """The weights as training left them, whichever epoch was the best."""
    newest = sorted((prepared.parent / f"{name}.checkpoints").glob("step-*"))[-1]
    tensors = load_file(newest / shard_name(0))
    return {path.removeprefix("model/"): tensor for path, tensor in tensors.items() if path.startswith("model/")}


def weights_of(encoder: Path) -> dict[str, torch.Tensor]:
    """By their names in our model; a file of transformers may have older ones."""
    from transformers import ViTModel

    return {f"encoder.{name}": weight for name, weight in ViTModel.from_pretrained(encoder).state_dict().items()}


@pytest.mark.parametrize(
    ("unfreeze", "moving"),
    [
        (None, (False, False)),
        (UnfreezeConfig(after=1, every=1), (False, True)),
        (UnfreezeConfig(after=1), (True, True)),
        (UnfreezeConfig(after=2), (False, False)),
    ],
)
def test_frozen_layers_move_when_their_time_has_come(
    tuning: TrainConfig,
    images: Path,
    encoder: Path,
    unfreeze: UnfreezeConfig | None,
    moving: tuple[bool, bool],
) -> None:
    model = tuning.model.model_copy(update={"freeze": True, "unfreeze": unfreeze})
    run(tuning.model_copy(update={"model": model}), images)
    before, after = weights_of(encoder), last(images)
    names = [LAYER.format(layer) for layer in range(2)]
    assert tuple(not torch.equal(before[name], after[name]) for name in names) == moving


def test_the_encoders_digest_is_part_of_the_models_lineage(tuning: TrainConfig, images: Path, encoder: Path) -> None:
    manifest = run(tuning.model_copy(update={"epochs": 1}), images)
    assert manifest.lineage.inputs == {"prepared": "sha256:0", "pretrained": encoder_digest(encoder)}
    settings = json.loads((images.parent / "model" / "encoder.json").read_bytes())
    assert settings["model_type"] == "vit"


def test_lower_layers_move_less(tuning: TrainConfig, images: Path, encoder: Path) -> None:
    run(tuning.model_copy(update={"layer_decay": 0.1, "epochs": 1}), images)
    before, after = weights_of(encoder), last(images)
    lower, upper = ((after[LAYER.format(layer)] - before[LAYER.format(layer)]).norm() for layer in range(2))
    assert 0 < lower < 0.2 * upper


def test_sharded_weights_cannot_wake_up(tuning: TrainConfig) -> None:
    model = tuning.model.model_copy(update={"freeze": True, "unfreeze": UnfreezeConfig()})
    asked = tuning.model_copy(update={"model": model, "distributed": DistributedConfig(strategy="fsdp")})
    with pytest.raises(StageError, match="layer by layer") as caught:
        parallel.choose(asked, torch.nn.Linear(2, 2), Ranks(0, 2, torch.device("cpu")), None)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert "layerDecay" in caught.value.cure


def test_two_processes_average_the_gradients_of_layers_that_wake_up(tuning: TrainConfig, images: Path) -> None:
    model = tuning.model.model_copy(
        update={"freeze": True, "unfreeze": UnfreezeConfig(after=1, every=1), "dropout": 0.0}
    )
    alone = tuning.model_copy(update={"model": model, "augment": AugmentConfig(), "batch_size": 40, "epochs": 3})
    run(alone, images, "alone")
    run(alone.model_copy(update={"processes": 2, "batch_size": 20}), images, "two")
    one, two = last(images, "alone"), last(images, "two")
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-3), name
