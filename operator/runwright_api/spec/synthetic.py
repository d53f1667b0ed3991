"""`synthetic`: rows made by a generator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Part


class SyntheticSource(Part):
    """Rows made by a generator, to try a pipeline without data: the same for the same fields, on every machine."""

    kind: Literal["classification", "regression", "images", "text"]
    """What is made. Targets: label, of regression target."""
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1000
    """How many rows. Default: 1000."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the generator. Default: 0."""
    features: Annotated[int, Field(ge=1, le=1000)] = 10
    """Numeric columns of classification and regression, x0, x1 and so on. Default: 10."""
    classes: Annotated[int, Field(ge=2, le=100)] = 3
    """Classes of classification, images and text. Default: 3."""
    noise: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of chance: of labels drawn anew, of the target's spread. Default: 0.1."""
