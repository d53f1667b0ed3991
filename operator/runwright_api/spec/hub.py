"""`spec.data.sources[].huggingFace`: a dataset of the Hugging Face Hub."""

from __future__ import annotations

from runwright_api.part import Part
from runwright_api.spec.shared import SecretRef
from runwright_api.text import DatasetName, HubName, Text


class HuggingFaceSource(Part):
    """A dataset of the Hugging Face Hub."""

    dataset: DatasetName
    """Name of the dataset, for example stanfordnlp/imdb."""
    config: HubName | None = None
    """Configuration of the dataset. Default: the only one, or the one that the dataset names as its default."""
    split: HubName | None = None
    """Split to read. Default: all of them."""
    revision: Text | None = None
    """Commit, tag or branch. Default: main. Give a commit to make runs repeatable."""
    secret_ref: SecretRef | None = None
    """Secret with HF_TOKEN, which opens private datasets, for a cluster; elsewhere the environment has it."""
