"""A dataset of the Hugging Face Hub."""

from __future__ import annotations

from runwright_components.contract.config.base import Config


class HubConfig(Config):
    """What to read of it. `dataset` is OWNER/NAME; the token comes from the environment (HF_TOKEN)."""

    dataset: str
    config: str | None = None  # None: the only one, or the dataset's own default
    split: str | None = None  # None: all
    revision: str | None = None  # None: the newest of main
