"""How a pretrained encoder of images wants its pixels."""

from __future__ import annotations

import json
from pathlib import Path

from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.files import file_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.encoder import encoder_files

FILE = "preprocessor_config.json"
Channels = tuple[float, ...]


def pretrained_normalization(encoder: str, config: PrepareConfig) -> tuple[Channels, Channels, str]:
    """Mean and deviation a channel, for pixels in [0, 1], that the encoder was trained with, and the digest of the file
    that says so. Raises StageError without that file, or for images of another number of channels."""
    folder = encoder_files(encoder, Path(config.base))
    path = folder / FILE
    try:
        settings = json.loads(path.read_bytes())
        mean, std = (0.0,) * config.image.channels, (1.0,) * config.image.channels
        if settings.get("do_normalize", True):
            mean, std = tuple(map(float, settings["image_mean"])), tuple(map(float, settings["image_std"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(
            Reason.SOURCE_NOT_FOUND if isinstance(error, OSError) else Reason.DATA_UNREADABLE,
            f"{FILE}, which says how the encoder's images are normalized, cannot be read: {error}",
            where=str(folder),
            cure=f"copy {FILE} from where the encoder came; it holds image_mean and image_std, a number a channel",
        ) from error
    if len(mean) != config.image.channels or len(std) != config.image.channels:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the encoder takes images of {len(mean)} channels, prepared are {config.image.channels}",
            where="prepare.image.channels",
            cure=f"set it to {len(mean)}",
        )
    return mean, std, file_digest(path)
