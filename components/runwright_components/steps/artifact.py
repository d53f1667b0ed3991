"""What the steps ask of a KFP artifact."""

from __future__ import annotations

from typing import Any, Protocol


class Artifact(Protocol):
    """A KFP artifact: where its files are, and what the dashboard shows."""

    path: str
    uri: str
    metadata: dict[str, Any]
