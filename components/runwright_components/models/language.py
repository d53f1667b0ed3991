"""Language models from configuration and shape, and from a model's folder."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.decoder import DECODER, Decoder, DecoderSettings, settings_for
from runwright_components.models.shape import Shape


def build_language(config: ModelConfig, shape: Shape, *, base: Path) -> nn.Module:
    """A decoder with fresh or pretrained weights, the latter with low-rank adapters where the configuration asks for
    them. Raises StageError (InvalidConfig and others) for what does not fit."""
    if config.name == "decoder":
        _check_heads(config)
        return Decoder(settings_for(config, vocabulary=shape.vocabulary))
    if config.name != "pretrained" or not config.pretrained:
        raise _invalid("name", f"{config.name} does not generate text", "use decoder or pretrained")
    from runwright_components.models.lora import adapt
    from runwright_components.models.pretrained_decoder import load_decoder

    decoder = load_decoder(base / config.pretrained, context=shape.max_tokens, dropout=config.dropout)
    if decoder.settings.vocabulary < shape.vocabulary:
        message = f"the model knows {decoder.settings.vocabulary} tokens, the prepared text has {shape.vocabulary}"
        raise _invalid("pretrained", message, "prepare the text with the tokenizer of the same folder")
    return decoder if config.lora is None else adapt(decoder, config.lora)


def load_language(folder: Path) -> Decoder:
    """The decoder of a model's folder, with weights still to be loaded."""
    return Decoder(DecoderSettings.read(folder, DECODER))


def _check_heads(config: ModelConfig) -> None:
    shared = config.key_value_heads or config.heads
    if config.width % (2 * config.heads):
        message = f"{config.width} does not divide into {config.heads} heads of an even width"
        raise _invalid("width", message, f"use a multiple of {2 * config.heads}")
    if config.heads % shared:
        message = f"{config.heads} heads cannot share {shared} heads of keys and values"
        raise _invalid("key_value_heads", message, "use a divisor of heads")


def _invalid(field: str, message: str, cure: str) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=f"train.model.{field}", cure=cure)
