"""Cheap signs of whether the sources changed, without reading them."""

from __future__ import annotations

import hashlib
import json

from runwright_components.collect.files import local_files
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.storage.reading import reading


def fingerprint(config: CollectConfig) -> str:
    """`sha256:HEX` over the configuration and each file's name, size and time (HTTP, S3: ETag and Last-Modified).

    Equal fingerprints mean: nothing changed. A server that tells neither ETag nor time gives a new one each call.
    Raises StageError like `collect` when a source cannot be found or reached.
    """
    signs = {source.name: _signs(source, config.base) for source in config.sources}
    text = json.dumps({"config": config.digest(), "sources": signs}, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _signs(source: Source, base: str) -> list[list[str | int]]:
    signs: list[list[str | int]] = []
    for file in local_files(source, base):
        with reading(file.display):
            stat = file.path.stat()
        signs.append([file.name, stat.st_size, stat.st_mtime_ns])
    return signs
