"""What decides a stage's result beside its configuration and the results before it: files that the run only names."""

from __future__ import annotations

from pathlib import Path

from runwright_components.contract.config import TrainConfig


def pretrained(folder: str | None, base: str) -> dict[str, str]:
    """What names the content of a pretrained model without reading its weights: names, sizes and times of its files."""
    if folder is None:
        return {}
    found = sorted(path for path in (Path(base) / folder).rglob("*") if path.is_file())
    return {"pretrained": str([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in found])}


def code(config: TrainConfig) -> dict[str, str]:
    """What names the content of the user's own code."""
    if config.code is None:
        return {}
    from runwright_components.train.code.sources import fingerprint

    return {"code": fingerprint(config.code, base=Path(config.base))}
