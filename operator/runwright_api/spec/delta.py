"""`spec.data.sources[].delta`: which version of a Delta Lake table is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Part


class DeltaOptions(Part):
    """Which version of a Delta Lake table is read."""

    version: Annotated[int | None, Field(ge=0, le=2**53)] = None
    """Number of the version. Default: the newest."""
