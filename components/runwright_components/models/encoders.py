"""Encoders of transformers from a local folder. Never the network, never pickle, never code from the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from runwright_components.contract.outcome import Reason, StageError


def load_encoder(folder: Path, reads: str) -> nn.Module:
    """Load an encoder in the Hugging Face layout that reads the input named `reads` (input_ids, pixel_values).

    Raises StageError: no configuration, weights that do not fit it, an encoder of something else.
    """
    settings_of(folder)
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # what its reports say becomes an error below
    try:
        encoder, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unloadable(folder, str(error).strip().splitlines()[0]) from error
    absent = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise _unloadable(folder, f"{len(absent)} weights are not in the file, such as {absent[0]}")
    if encoder.main_input_name != reads or not hidden_width(encoder):
        what = {"input_ids": "texts", "pixel_values": "images"}
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the encoder ({encoder.config.model_type}) does not read {what[reads]} alone",
            where=str(folder),
            cure=f"name the folder of an encoder of {what[reads]}; of a model of both, save the one part:"
            " AutoModel.from_pretrained(FOLDER).vision_model.save_pretrained(NEW_FOLDER)",
        )
    loaded: nn.Module = encoder
    return loaded


def hidden_width(encoder: nn.Module) -> int:
    """Features that the encoder gives for a token, patch or place; 0 where its configuration does not say."""
    settings = encoder.config
    sizes = getattr(settings, "hidden_sizes", None)
    return int(getattr(settings, "hidden_size", 0) or (sizes[-1] if sizes else 0))


def encoder_settings(encoder: nn.Module) -> dict[str, Any]:
    """The encoder's configuration as JSON values, without where it was loaded from."""
    settings: dict[str, Any] = json.loads(encoder.config.to_json_string(use_diff=False))  # type: ignore[union-attr,operator]
    return {key: value for key, value in settings.items() if key not in ("_name_or_path", "transformers_version")}


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


def _unloadable(folder: Path, message: str) -> StageError:
    return StageError(
        Reason.DATA_UNREADABLE,
        f"the pretrained encoder cannot be loaded: {message}",
        where=str(folder),
        cure="check that config.json and the weights belong together and that transformers knows the model type",
    )
