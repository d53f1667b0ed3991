"""`spec.train.model.lora` and what the documents of a language model are: the parts of text generation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Part


class Lora(Part):
    """Low-rank adaptation (Hu et al. 2021): the pretrained weights stay, small matrices beside them learn."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    """Rank of the matrices. Default: 8."""
    alpha: Annotated[float, Field(gt=0.0, le=4096.0)] = 16.0
    """Their output counts alpha / rank times. Default: 16."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of their inputs dropped in training. Default: 0."""
