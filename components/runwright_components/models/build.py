"""From configuration and shape to a module, and from a model's folder back to one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from runwright_components.contract.artifacts import WEIGHTS, ModelManifest
from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.shape import Shape, make_shape, read_state
from runwright_components.models.weights import untied

ENCODER = "encoder.json"  # in a model's folder: the configuration of its pretrained encoder

_MODALITY = {
    "mlp": "tabular",
    "cnn": "image",
    "resnet": "image",
    "textcnn": "text",
    "transformer": "text",
    "pretrained": "text",
}


def build(config: ModelConfig, shape: Shape, *, base: Path = Path()) -> nn.Module:
    """A module with fresh weights (or the pretrained encoder's), drawn from torch's global random generator.

    Its `forward` takes the graph's input tensors by name and returns `logits` [N, K] or `value` [N]. `base` is the
    folder that `config.pretrained` is relative to. Raises StageError (InvalidConfig) for a model that does not fit.
    """
    check(config, shape)
    if config.name == "pretrained":
        from runwright_components.models.pretrained import Pretrained, load_encoder

        assert config.pretrained is not None
        encoder = load_encoder(base / config.pretrained)
        _check_encoder(encoder, shape)
        return Pretrained(encoder, config, shape)
    return _build_scratch(config, shape)


def _build_scratch(config: ModelConfig, shape: Shape) -> nn.Module:
    # Each family is imported when it is asked for; a table's training loads no other.
    if config.name == "mlp":
        from runwright_components.models.mlp import Mlp

        return Mlp(config, shape)
    if config.name == "cnn":
        from runwright_components.models.cnn import Cnn

        return Cnn(config, shape)
    if config.name == "resnet":
        from runwright_components.models.resnet import ResNet

        return ResNet(config, shape)
    if config.name == "textcnn":
        from runwright_components.models.textcnn import TextCnn

        return TextCnn(config, shape)
    from runwright_components.models.transformer import Transformer

    return Transformer(config, shape)


def check(config: ModelConfig, shape: Shape) -> None:
    """Raise StageError (InvalidConfig) when the model does not fit the data or its own sizes contradict each other."""
    if _MODALITY[config.name] != shape.modality:
        fitting = ", ".join(name for name, modality in _MODALITY.items() if modality == shape.modality)
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
    if config.name == "transformer" and config.width % (2 * config.heads):
        message = f"{config.width} does not divide into {config.heads} heads of an even width"
        raise _invalid("width", message, f"use a multiple of {2 * config.heads}")
    if config.name == "pretrained" and not config.pretrained:
        raise _invalid("pretrained", "the folder of the encoder is missing", "name a folder in the Hugging Face layout")


def _check_encoder(encoder: nn.Module, shape: Shape) -> None:
    from runwright_components.models.pretrained import encoder_settings, longest_text

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
    if config.name != "pretrained":
        return _build_scratch(config, shape)
    from runwright_components.models.pretrained import Pretrained, empty_encoder

    return Pretrained(empty_encoder(json.loads((folder / ENCODER).read_bytes())), config, shape)


def _unfit(folder: Path, message: str) -> StageError:
    return StageError(
        Reason.DATA_UNREADABLE,
        f"the weights do not fit the model of the manifest: {message}",
        where=str(folder / WEIGHTS),
        cure="the folder was altered or made by another version; train again",
    )
