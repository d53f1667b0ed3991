"""Where the volumes of sources are in the pod of the step that reads them."""

from __future__ import annotations

VOLUMES = "/runwright/volumes"


def mount_path(claim: str) -> str:
    """The folder at which the PersistentVolumeClaim `claim` is mounted."""
    return f"{VOLUMES}/{claim}"
