"""`spec.train.code`: the user's own training code."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Lax, Part
from runwright_api.text import FilePath, Text


class Code(Part):
    """The user's own training code."""

    path: FilePath
    """Folder with the code, relative to the YAML file."""
    entrypoint: Text
    """Python module that is started, for example churn.train."""
    args: Annotated[tuple[Text, ...], Field(max_length=64), Lax] = ()
    """Its arguments, passed as they are."""
