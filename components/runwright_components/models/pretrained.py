"""A Hugging Face encoder from a local folder, with a new head. Never the network, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.layers import Head
from runwright_components.models.shape import Shape
from runwright_components.models.transformer import masked_mean

_POSITIONS_AFTER_PAD = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "mpnet")

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class Pretrained(nn.Module):
    """`input_ids` and `attention_mask` int64 [N, T] through the encoder; the mean over the tokens goes to the head."""

    def __init__(self, encoder: nn.Module, config: ModelConfig, shape: Shape) -> None:
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # type: ignore[assignment]  # unused: its parameters would only be stored, and wait for gradients in vain
        self.encoder = encoder
        self.freeze = config.freeze
        width = int(encoder.config.hidden_size)  # type: ignore[union-attr,arg-type]
        self.head = Head(width, shape.classes, regression=shape.task == "regression", dropout=config.dropout)
        if self.freeze:
            encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Pretrained:
        super().train(mode)
        if self.freeze:
            self.encoder.eval()  # dropout of a frozen encoder would only add noise to its features
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
        out: Tensor = self.head(masked_mean(states, attention_mask))
        return out


def encoder_settings(encoder: nn.Module) -> dict[str, Any]:
    """The encoder's configuration as JSON values, without where it was loaded from."""
    settings: dict[str, Any] = json.loads(encoder.config.to_json_string(use_diff=False))  # type: ignore[union-attr,operator]
    return {key: value for key, value in settings.items() if key not in ("_name_or_path", "transformers_version")}


def longest_text(encoder: nn.Module) -> int | None:
    """Tokens that the encoder's positions reach; None: any number."""
    settings = encoder_settings(encoder)
    positions: int | None = settings.get("max_position_embeddings")
    if positions is not None and settings["model_type"] in _POSITIONS_AFTER_PAD:
        return positions - int(settings["pad_token_id"]) - 1
    return positions


def load_encoder(folder: Path) -> nn.Module:
    """Load an encoder in the Hugging Face layout. Raises StageError for a folder without safetensors."""
    settings_of(folder)
    if not any(folder.glob("*.safetensors")):
        pickles = [path.name for pattern in PICKLES for path in sorted(folder.glob(pattern))]
        if pickles:
            raise StageError(
                Reason.UNSUPPORTED,
                f"{pickles[0]} holds pickled weights, which can run code when loaded",
                where=str(folder),
                cure="convert it once where you trust it: "
                "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)",
            )
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            "there are no weights (*.safetensors)",
            where=str(folder),
            cure="name a folder in the Hugging Face layout: config.json, model.safetensors, tokenizer.json",
        )
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        encoder: nn.Module = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"the pretrained encoder cannot be loaded: {str(error).splitlines()[0]}",
            where=str(folder),
            cure="check that config.json and the weights belong together and that transformers knows the model type",
        ) from error
    return encoder


def settings_of(folder: Path) -> dict[str, Any]:
    """Read `config.json` of an encoder's folder."""
    path = folder / "config.json"
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            f"the pretrained encoder has no readable config.json: {error}",
            where=str(folder),
            cure="set train.model.pretrained to a folder in the Hugging Face layout",
        ) from error


def empty_encoder(settings: dict[str, Any]) -> nn.Module:
    """An encoder of the given configuration with weights still to be loaded."""
    from transformers import AutoConfig, AutoModel

    known = {key: value for key, value in settings.items() if key != "model_type"}
    encoder: nn.Module = AutoModel.from_config(AutoConfig.for_model(settings["model_type"], **known))  # type: ignore[no-untyped-call]
    return encoder.float()
