"""What a person reads when a command fails."""

from __future__ import annotations

import os
import traceback

from runwright_api.problems import SpecError
from runwright_cli.cluster.errors import ClusterError
from runwright_cli.main import TRACE_ENV
from runwright_components.contract.outcome import StageError


def explain(error: Exception) -> str:
    """The message for an exception that ended a command; a traceback only on request."""
    if isinstance(error, SpecError | ClusterError):
        text = error.render()
    elif isinstance(error, StageError):
        text = f"error: {error}"
    elif isinstance(error, OSError) and error.filename:
        text = f"error: {error.filename}: {error.strerror}"
    else:
        text = (
            f"internal error: {type(error).__name__}: {error}\n"
            f"  cure: this is a defect of Runwright; set {TRACE_ENV}=1 to see where, and please report it"
        )
    if os.environ.get(TRACE_ENV) == "1":
        text = "".join(traceback.format_exception(error)) + text
    return text
