"""Files on a volume that is mounted here. Whoever fills the volume chooses its links, so none may lead out of it: a pod
holds more files than its volumes, the token of its service account among them."""

from __future__ import annotations

from pathlib import Path

from runwright_components.collect.files import SourceFile, local_files
from runwright_components.contract.config import Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.reading import reading


def volume_files(source: Source, volume: str) -> list[SourceFile]:
    """The files of a source below the folder `volume`, as `local_files` gives them. Raises StageError."""
    root = Path(volume)
    with reading(source.name):
        if not root.is_dir():
            raise StageError(
                Reason.SOURCE_NOT_FOUND,
                f"the claim {root.name} is not mounted here",
                where=f"{source.name}, pvc",
                cure="volumes are mounted in a cluster; on one machine give the files as `path`",
            )
        found = local_files(source, volume)
        bounds = root.resolve()
        outside = next((file for file in found if not file.path.resolve().is_relative_to(bounds)), None)
    if outside is not None:
        raise StageError(
            Reason.SOURCE_DENIED,
            f"{outside.name} leads out of the volume",
            where=f"{source.name}, pvc",
            cure="put the file itself into the volume, or name others with pvc.path",
        )
    return found
