"""From configuration and shape to a module, and from a model's folder back to one."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from runwright_components.contract.artifacts import WEIGHTS, ModelManifest
from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.shape import Shape, make_shape, read_state
from runwright_components.models.weights import untied

ENCODER = "encoder.json"  # in a model's folder: the configuration of its pretrained encoder

# Each family's module in this package and its class, imported when it is asked for: a table's training loads no other.
_FAMILIES: dict[tuple[str, str], tuple[str, str]] = {
    ("tabular", "mlp"): ("mlp", "Mlp"),
    ("tabular", "transformer"): ("tabular_transformer", "TabularTransformer"),
    ("tabular", "autoencoder"): ("autoencoder", "Autoencoder"),
    ("tabular", "isolationforest"): ("isolation_forest", "IsolationForest"),
    ("tabular", "kmeans"): ("clusters", "KMeans"),
    ("tabular", "gaussianmixture"): ("clusters", "GaussianMixture"),
    ("image", "cnn"): ("cnn", "Cnn"),
    ("image", "resnet"): ("resnet", "ResNet"),
    ("image", "vit"): ("vit", "ViT"),
    ("text", "textcnn"): ("textcnn", "TextCnn"),
    ("text", "transformer"): ("transformer", "Transformer"),
    ("series", "nhits"): ("nhits", "NHits"),
    ("series", "dlinear"): ("dlinear", "DLinear"),
    ("image", "pretrained"): ("pretrained", "PretrainedImage"),
    ("text", "pretrained"): ("pretrained", "PretrainedText"),
}


def build(config: ModelConfig, shape: Shape, *, base: Path = Path()) -> nn.Module:
    """A module with fresh weights (or the pretrained encoder's), drawn from torch's global random generator.

    Its `forward` takes the graph's input tensors by name and returns `logits` [N, K] or `value` [N]. `base` is the
    folder that `config.pretrained` is relative to. Raises StageError (InvalidConfig) for a model that does not fit.
    """
    if shape.task == "generation":
        from runwright_components.models.language import build_language

        return build_language(config, shape, base=base)
    check(config, shape)
    family = _family(config, shape)
    if config.name != "pretrained":
        module: nn.Module = family(config, shape)
        return module
    from runwright_components.models.encoders import load_encoder
    from runwright_components.storage.encoder import encoder_digest, encoder_folder

    assert config.pretrained is not None
    with encoder_folder(config.pretrained, base) as folder:
        encoder = load_encoder(folder, "input_ids" if shape.modality == "text" else "pixel_values")
        digest = encoder_digest(folder)
    if shape.modality == "text":
        _check_vocabulary(encoder, shape)
    pretrained = family(encoder, config, shape)
    pretrained.digest = digest
    found: nn.Module = pretrained
    return found


def _family(config: ModelConfig, shape: Shape) -> Any:
    module, name = _FAMILIES[shape.modality, config.name]
    return getattr(import_module(f"runwright_components.models.{module}"), name)


def check(config: ModelConfig, shape: Shape) -> None:
    """Raise StageError (InvalidConfig) when the model does not fit the data or its own sizes contradict each other."""
    if (shape.modality, config.name) not in _FAMILIES:
        fitting = ", ".join(name for modality, name in _FAMILIES if modality == shape.modality)
        raise _invalid("name", f"{config.name} does not read {shape.modality} data", f"use one of {fitting}")
    if shape.modality == "tabular" and not shape.numeric and not shape.categories:
        raise StageError(
            Reason.DATA_INVALID,
            "the prepared table has no input columns",
            cure="give the sources at least one column besides the target that is not ignored",
        )
    sizes = {"width": config.width, "depth": config.depth, "heads": config.heads, "embedding": config.embedding or 1}
    sizes |= {f"hidden.{index}": width for index, width in enumerate(config.hidden)}
    for field, size in sizes.items():
        if size < 1:
            raise _invalid(field, f"{size} is not a size", "give a number of 1 or more")
    if not 0 <= config.dropout < 1:
        raise _invalid("dropout", f"{config.dropout} is not a probability below 1", "0.1 is a good start")
    if config.name == "transformer":
        least, even = (
            (2, " of an even width") if shape.modality == "text" else (1, "")
        )  # positions turn pairs of features
        if config.width % (least * config.heads):
            message = f"{config.width} does not divide into {config.heads} heads{even}"
            raise _invalid("width", message, f"use a multiple of {least * config.heads}")
    if config.name == "vit":
        _check_patches(config, shape)
    if config.name == "pretrained" and not config.pretrained:
        raise _invalid("pretrained", "the folder of the encoder is missing", "name a folder in the Hugging Face layout")


def _check_patches(config: ModelConfig, shape: Shape) -> None:
    _, height, width = shape.image
    if height % config.patch or width % config.patch:
        message = f"images of {height} x {width} pixels do not divide into patches of {config.patch} x {config.patch}"
        raise _invalid("patch", message, "choose a patch that divides prepare.image.height and width, such as 4")
    if config.width % config.heads:
        message = f"{config.width} does not divide into {config.heads} heads"
        raise _invalid("width", message, f"use a multiple of {config.heads}")


def _check_vocabulary(encoder: nn.Module, shape: Shape) -> None:
    from runwright_components.models.encoders import encoder_settings
    from runwright_components.models.pretrained import longest_text

    vocabulary, positions = encoder_settings(encoder).get("vocab_size"), longest_text(encoder)
    if vocabulary is not None and vocabulary < shape.vocabulary:
        message = f"the encoder knows {vocabulary} tokens, the prepared text has {shape.vocabulary}"
        raise _invalid("pretrained", message, "prepare the text with the tokenizer of the same folder")
    if positions is not None and positions < shape.max_tokens:
        message = f"the encoder takes {positions} tokens, the prepared text has up to {shape.max_tokens}"
        raise _invalid("pretrained", message, f"set prepare.text.maxTokens to at most {positions}")


def _invalid(field: str, message: str, cure: str) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=f"train.model.{field}", cure=cure)


def load_model(folder: Path) -> nn.Module:
    """Rebuild the module of a model artifact in `folder` with its weights, in evaluation mode, on the CPU.

    Raises StageError (DataUnreadable) when the weights do not fit the manifest.
    """
    from safetensors.torch import load_file

    manifest = ModelManifest.read(folder)
    shape = make_shape(
        manifest.signature,
        categories=manifest.categories,
        vocabulary=manifest.vocabulary,
        state=read_state(folder),
        where=str(folder),
    )
    with torch.random.fork_rng(devices=[]):
        module = _rebuild(manifest.model, shape, folder)
    try:
        weights = load_file(folder / WEIGHTS)
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except (OSError, RuntimeError) as error:
        raise _unfit(folder, str(error).splitlines()[0]) from error
    tied = set(module.state_dict()) - set(untied(module.state_dict()))
    if unexpected or set(missing) - tied:
        raise _unfit(folder, f"{sorted([*unexpected, *missing])[0]} is not in both")
    return module.eval()


def _rebuild(config: ModelConfig, shape: Shape, folder: Path) -> nn.Module:
    if shape.task == "generation":
        from runwright_components.models.language import load_language

        return load_language(folder)
    family = _family(config, shape)
    if config.name == "pretrained":
        from runwright_components.models.encoders import empty_encoder

        encoder = empty_encoder(json.loads((folder / ENCODER).read_bytes()))
        pretrained: nn.Module = family(encoder, config, shape)
        return pretrained
    module: nn.Module = family(config, shape)
    return module


def _unfit(folder: Path, message: str) -> StageError:
    return StageError(
        Reason.DATA_UNREADABLE,
        f"the weights do not fit the model of the manifest: {message}",
        where=str(folder / WEIGHTS),
        cure="the folder was altered or made by another version; train again",
    )
