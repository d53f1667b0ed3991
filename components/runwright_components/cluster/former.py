"""What a stage leaves for the revision after it, in a cluster: a few files in the run's storage.

They lie in `STORAGE/NAME/UID/rN/left/STAGE/OUTPUT`, beside what the revision's training keeps there. A revision finds
those of the newest revision before it that left any, whether that one came to an end or not: an attempt at the same
revision is none before it. On one machine nothing needs to be left: the result cache holds the outputs themselves.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from runwright_components.cluster.storage import Place, fetch_folder, index_of, place, store_folder
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.files import link_or_copy
from runwright_components.contract.step import StageName

LEFT = "left"
_REVISION = re.compile(r"r([1-9]\d*)")


def former_place(run: ClusterRun, stage: StageName, output: str) -> Place | None:
    """Where the newest revision before `run` left files of a stage's output; None where none did. Raises StageError."""
    home, _, own = run.storage.uri.rstrip("/").rpartition("/")
    revisions = place(run.storage, home)
    before = [
        int(found[1])
        for name in revisions.folders()
        if (found := _REVISION.fullmatch(name)) is not None and name != own and int(found[1]) < run.revision
    ]
    for number in sorted(before, reverse=True):
        there = revisions.under(f"r{number}").under(LEFT).under(stage).under(output)
        if index_of(there) is not None:
            return there
    return None


def fetch_former(run: ClusterRun, stage: StageName, output: str, folder: Path) -> Path | None:
    """What the revision before left, as the new folder `folder`; None where there is nothing. Raises StageError."""
    there = former_place(run, stage, output)
    if there is None:
        return None
    fetch_folder(there, folder)
    return folder


def leave(run: ClusterRun, stage: StageName, output: str, files: Mapping[str, Path]) -> None:
    """Leave files, by their names in the output's folder, for the next revision. Raises StageError."""
    with tempfile.TemporaryDirectory(prefix="runwright-") as folder:
        for name, path in files.items():
            link_or_copy(path, Path(folder) / name)
        store_folder(Path(folder), place(run.storage).under(LEFT).under(stage).under(output))
