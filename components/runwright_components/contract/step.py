"""The door between a KFP step and the component code: `execute` finds the step's body by name.

Pipelines import this module alone, so that compiling needs no torch and no Polars.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

BODIES = "runwright_components.steps"


def execute(name: str, **arguments: Any) -> Any:
    """Run the body of step `name` with KFP's artifact objects and parameters as keyword arguments."""
    body = getattr(import_module(BODIES), name)
    return body(**arguments)
