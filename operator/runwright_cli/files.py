"""TrainingRun files as the commands take them: the file, its changes from the command line, and its workspace."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwright_api import yaml_tree
from runwright_api.loading import load, load_file, load_object
from runwright_api.problems import Problem, SpecError
from runwright_api.trainingrun import TrainingRun

WORKSPACES = ".runwright"

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*)((?:\[\d+\])*)")


@dataclass(frozen=True)
class RunFile:
    """A valid TrainingRun, and the folder that its relative paths start from."""

    run: TrainingRun
    base: Path

    @property
    def workspace(self) -> Path:
        """Where it runs on this machine unless the user says otherwise."""
        return self.base / WORKSPACES / self.run.metadata.name


def read(file: str, changes: Iterable[str] = ()) -> RunFile:
    """Read a TrainingRun (`-`: from standard input) and apply `--set PATH=VALUE` changes.

    Raises SpecError that names file, line and field; of a change, the field.
    """
    return _read(file, tuple(changes), keep=bool(changes))[0]


def read_manifest(file: str, changes: Iterable[str] = ()) -> tuple[RunFile, dict[str, Any]]:
    """A TrainingRun, and its content as written, without the defaults: what an apply should own. Raises SpecError."""
    return _read(file, tuple(changes), keep=True)


def _read(file: str, changes: tuple[str, ...], *, keep: bool) -> tuple[RunFile, dict[str, Any]]:
    """The run, and its content where that is wanted."""
    if file == "-":
        text, base, name = sys.stdin.read(), Path.cwd(), "<stdin>"
        run = load(text, file=name)
    else:
        run = load_file(file)
        path = Path(file)
        base, name = path.absolute().parent, file
        text = path.read_text(encoding="utf-8") if keep else ""
    content: dict[str, Any] = yaml_tree.read(text, name).value if keep else {}
    if changes:
        run = _changed(content, changes)
    return RunFile(run, base), content


def _changed(content: dict[str, Any], changes: Iterable[str]) -> TrainingRun:
    for change in changes:
        path, equals, text = change.partition("=")
        steps = _steps(path.strip())
        if not equals or not steps:
            raise _refused(change, "this is not PATH=VALUE", "for example --set spec.train.epochs=3")
        tree = yaml_tree.read(text, "--set")
        if tree.problems:
            raise _refused(change, tree.problems[0].message, "write the value as in YAML")
        _put(content, steps, tree.value, change)
    try:
        return load_object(content)
    except SpecError as error:
        texts = ", ".join(f"--set {change}" for change in changes)
        named = (Problem(item.message, item.path, item.cure, file=texts) for item in error.problems)
        raise SpecError(tuple(named)) from None


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in path.split("."):
        matched = _STEP.fullmatch(part)
        if not matched:
            return []
        steps.append(matched[1])
        steps += [int(index) for index in re.findall(r"\d+", matched[2])]
    return steps


def _put(content: Any, steps: list[str | int], value: Any, change: str) -> None:
    place = content
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(step, int):
            if not isinstance(place, list) or step >= len(place):
                raise _refused(change, f"there is no item {step}", "items of a list count from 0")
        elif not isinstance(place, dict):
            raise _refused(change, f"{step} is not in a mapping", "`runwright schema` shows the fields")
        if following is None:
            place[step] = value
            return
        if isinstance(step, str) and place.get(step) is None:
            place[step] = {}
        place = place[step]


def _refused(change: str, message: str, cure: str) -> SpecError:
    return SpecError((Problem(message, cure=cure, file=f"--set {change}"),))


def find_workspace(place: str | None) -> Path:
    """The workspace that a TrainingRun file, a workspace or a folder with workspaces stands for; the newest of several.

    Raises SpecError when there is none.
    """
    path = Path(place or ".")
    if path.is_file():
        return read(str(path)).workspace
    for candidates in ([path], list(path.glob("*")), list((path / WORKSPACES).glob("*"))):
        found = [folder for folder in candidates if (folder / "progress.jsonl").is_file()]
        if found:
            return max(found, key=lambda folder: (folder / "progress.jsonl").stat().st_mtime)
    cure = "give a TrainingRun file that was run, or its workspace; `runwright run FILE` makes one"
    raise SpecError((Problem("there is no run here", cure=cure, file=str(path)),))
