"""Finding the package that a command means: a folder, a name, or the only one that there is."""

from __future__ import annotations

from pathlib import Path

from runwright_components.contract.artifacts import MANIFEST
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.step import REGISTRY

HIDDEN = ".runwright"  # beside a TrainingRun's file; a workspace a run in it
SERVING = "serving"  # in a workspace, link to the version that serves


def find_model(target: str | None, *, beside: Path) -> Path:
    """The folder of the package that `target` names, from the folder `beside`.

    A folder may be a package, a model artifact, a name's folder in a registry (its newest version is meant) or a
    workspace (what serves there is meant). NAME and NAME/N mean the workspace NAME under `.runwright`. With no target
    the only workspace is meant. Raises StageError that lists what there is.
    """
    if target is None:
        return _only(beside / HIDDEN)
    for folder in (beside / target, beside / HIDDEN / target):
        if folder.is_dir() and (found := _inside(folder)) is not None:
            return found
    if (found := _version(beside / HIDDEN, target)) is not None:
        return found
    raise StageError(
        Reason.SOURCE_NOT_FOUND,
        f'there is no model "{target}": neither a folder with a {MANIFEST} nor a name under {HIDDEN}',
        cure=_candidates(beside / HIDDEN),
    )


def _inside(folder: Path) -> Path | None:
    """The model that a folder of any kind stands for."""
    if (folder / MANIFEST).is_file():
        return folder
    if (folder / SERVING / MANIFEST).is_file():
        return (folder / SERVING).resolve()
    if (newest := _newest(folder)) is not None:
        return newest
    names = [path for path in _folders(folder / REGISTRY) if _newest(path)]
    if len(names) == 1:
        return _newest(names[0])
    return _only(folder / HIDDEN) if (folder / HIDDEN).is_dir() else None


def _version(hidden: Path, target: str) -> Path | None:
    """NAME/N, a version in the registry of the workspace NAME."""
    name, _, version = target.partition("/")
    folder = hidden / name / REGISTRY / name / version
    return folder if version and (folder / MANIFEST).is_file() else None


def _newest(folder: Path) -> Path | None:
    """The highest version in a name's folder of a registry."""
    versions = [path for path in _folders(folder) if path.name.isdigit() and (path / MANIFEST).is_file()]
    return max(versions, key=lambda path: int(path.name), default=None)


def _only(hidden: Path) -> Path:
    found = _served(hidden)
    if len(found) == 1:
        return next(iter(found.values()))
    raise StageError(
        Reason.SOURCE_NOT_FOUND,
        "say which model" if found else "there is no model here yet",
        where=str(hidden.parent),
        cure=_candidates(hidden),
    )


def _served(hidden: Path) -> dict[str, Path]:
    """Workspaces that have a model, by name."""
    found = {path.name: _inside(path) for path in _folders(hidden)}
    return {name: path for name, path in found.items() if path is not None}


def _candidates(hidden: Path) -> str:
    names = sorted(_served(hidden))
    if names:
        return f"name one of: {', '.join(names)}, or the folder of a package"
    return "make one with `runwright run FILE`, or name the folder of a package"


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
