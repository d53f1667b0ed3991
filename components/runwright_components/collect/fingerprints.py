"""Cheap signs of whether the sources changed, without reading them."""

from __future__ import annotations

import hashlib
import json

from runwright_components.collect.sources import source_signs
from runwright_components.contract.config import CollectConfig


def fingerprint(config: CollectConfig) -> str:
    """`sha256:HEX` over the configuration and each file's name, size and time (HTTP, S3: ETag and Last-Modified).

    Equal fingerprints mean: nothing changed. A server that tells neither ETag nor time gives a new one each call.
    Raises StageError like `collect` when a source cannot be found or reached.
    """
    signs: dict[str, object] = {source.name: source_signs(source, config.base) for source in config.sources}
    if config.environment is not None:
        from runwright_components.collect.environment import environment_signs

        signs["environment"] = environment_signs(config.environment, config.base)
    text = json.dumps({"config": config.digest(), "sources": signs}, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
