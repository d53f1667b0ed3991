"""A pretrained causal language model in the Hugging Face layout as our decoder. Never the network, never pickle.

Our decoder has the architecture and the names of `LlamaForCausalLM`, which many models share; so its weights are read
as they are, and whatever trains, exports and serves ours does so with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.decoder import Decoder, DecoderSettings, RotaryScaling
from runwright_components.models.encoders import settings_of
from runwright_components.storage.encoder import require_weights

KINDS = ("llama", "mistral")  # model types that are this architecture
_INDEX = "model.safetensors.index.json"


def load_decoder(folder: Path, *, context: int, dropout: float = 0.0) -> Decoder:
    """Load the model in `folder`, to see `context` tokens at once.

    Raises StageError: not there, of another architecture, pickled weights only, weights that do not fit.
    """
    settings = _settings(settings_of(folder), folder, context=context, dropout=dropout)
    require_weights([path.name for path in folder.iterdir()], str(folder))
    weights = _weights(folder)
    with torch.random.fork_rng(devices=[]):
        decoder = Decoder(settings)
    try:
        missing, unexpected = decoder.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise _unfit(folder, " ".join(str(error).split())[:200]) from error
    tied = {"lm_head.weight"} if settings.tied else set()
    absent = sorted(set(missing) - tied)
    foreign = sorted(name for name in set(unexpected) - tied if not name.endswith("rotary_emb.inv_freq"))
    if absent or foreign:
        raise _unfit(folder, f"{(absent + foreign)[0]} is not in both")
    return decoder


def _settings(found: dict[str, Any], folder: Path, *, context: int, dropout: float) -> DecoderSettings:
    kind = found.get("model_type")
    if kind not in KINDS:
        raise StageError(
            Reason.UNSUPPORTED,
            f"the model is of type {kind!r}",
            where=str(folder / "config.json"),
            cure=f"text generation takes pretrained models of the types {', '.join(KINDS)}",
        )
    unknown = [name for name in ("attention_bias", "mlp_bias") if found.get(name)]
    window = found.get("sliding_window")
    if kind == "mistral" and window is not None and window < context:
        unknown.append(f"sliding_window {window}, shorter than the context of {context},")
    if found.get("hidden_act", "silu") != "silu":
        unknown.append(f"hidden_act {found['hidden_act']}")
    if unknown:
        raise StageError(
            Reason.UNSUPPORTED,
            f"the model has {unknown[0]} which this decoder lacks",
            where=str(folder / "config.json"),
            cure="use another model, or for a sliding window a smaller train.model.context",
        )
    try:
        heads, width = int(found["num_attention_heads"]), int(found["hidden_size"])
        rope = {**(found.get("rope_scaling") or {}), **(found.get("rope_parameters") or {})}
        return DecoderSettings(
            vocabulary=found["vocab_size"],
            width=width,
            depth=found["num_hidden_layers"],
            heads=heads,
            key_value_heads=found.get("num_key_value_heads") or heads,
            head_width=found.get("head_dim") or width // heads,
            inner=found["intermediate_size"],
            context=context,
            theta=rope.get("rope_theta") or found.get("rope_theta") or 10_000.0,
            epsilon=found.get("rms_norm_eps", 1e-6),
            tied=bool(found.get("tie_word_embeddings", False)),
            dropout=dropout,
            scaling=_scaling(rope, folder),
        )
    except (KeyError, ValueError) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"config.json is incomplete: {error}",
            where=str(folder),
            cure="copy config.json again from where the model came",
        ) from error


def _scaling(rope: dict[str, Any], folder: Path) -> RotaryScaling | None:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return None
    if kind != "llama3":
        raise StageError(
            Reason.UNSUPPORTED,
            f"the model scales its rotary positions by {kind!r}",
            where=str(folder / "config.json"),
            cure="use a model without rope_scaling, or with llama3's",
        )
    return RotaryScaling(
        factor=rope["factor"],
        low=rope["low_freq_factor"],
        high=rope["high_freq_factor"],
        original=rope["original_max_position_embeddings"],
    )


def _weights(folder: Path) -> dict[str, Tensor]:
    """All weights in float32, from one file or from those that an index lists."""
    index = folder / _INDEX
    try:
        if index.is_file():
            listed = set(json.loads(index.read_bytes())["weight_map"].values())
            files = [folder / Path(name).name for name in sorted(listed)]
        else:
            files = sorted(folder.glob("*.safetensors"))
        return {name: tensor.float() for file in files for name, tensor in load_file(file).items()}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _unfit(folder, str(error).splitlines()[0]) from error


def _unfit(folder: Path, message: str) -> StageError:
    return StageError(
        Reason.DATA_UNREADABLE,
        f"the pretrained weights cannot be used: {message}",
        where=str(folder),
        cure="check that config.json and the weights belong together, and copy the folder again",
    )
