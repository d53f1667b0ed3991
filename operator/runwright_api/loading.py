"""The door: YAML text or a Kubernetes object -> a TrainingRun that is valid and does only what this version can do."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path as FileSystemPath
from typing import Any

from pydantic import ValidationError

from runwright_api import yaml_tree
from runwright_api.explain import faults
from runwright_api.names import API_VERSION, KIND
from runwright_api.part import Path
from runwright_api.problems import Problem, SpecError, dotted
from runwright_api.trainingrun import TrainingRun
from runwright_api.unsupported import refusals
from runwright_api.yaml_tree import Tree


def load(text: str, *, file: str = "<stdin>") -> TrainingRun:
    """Read a TrainingRun from YAML (or JSON) text. Raises `SpecError` with every problem found, and nothing else."""
    tree = yaml_tree.read(text, file)
    if tree.problems:
        raise SpecError(tuple(tree.problems))
    return _accept(tree)


def load_file(path: str | os.PathLike[str]) -> TrainingRun:
    """Read a TrainingRun from a file. Raises `SpecError`, also where the file cannot be read."""
    file = os.fspath(path)
    try:
        with FileSystemPath(file).open("rb") as opened:
            content = opened.read(yaml_tree.LARGEST_TEXT + 1)
    except OSError as error:
        raise SpecError((_unreadable(error, file),)) from error
    except ValueError as error:  # a NUL in the path
        raise SpecError((Problem("this is not the name of a file", file=repr(file)),)) from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(content) > yaml_tree.LARGEST_TEXT and error.start >= yaml_tree.LARGEST_TEXT - 3:
            text = content[: error.start].decode("utf-8") + " " * 4  # cut in a character; read refuses the size
        else:
            raise SpecError((_not_utf8(content, error, file),)) from error
    return load(text, file=file)


def load_object(content: Mapping[str, Any]) -> TrainingRun:
    """Accept a TrainingRun that the Kubernetes API gave. Raises `SpecError`, with field paths but no lines."""
    tree = Tree(file="", lines=[])
    tree.value = dict(content)
    return _accept(tree)


def problem_in(file: str | None, path: Path, message: str, cure: str) -> Problem:
    """A problem of the field `path` that only shows outside of the text, with its place in `file`, a TrainingRun that
    was accepted; without a place where there is none to read."""
    try:
        text = FileSystemPath(file).read_text(encoding="utf-8") if file else ""
    except OSError:  # standard input, or gone by now
        text = ""
    return _problem(yaml_tree.read(text, file or ""), path, message, cure)


def _accept(tree: Tree) -> TrainingRun:
    problems = list(_header(tree))
    if problems:
        raise SpecError(tuple(problems))
    refused = list(refusals(tree.value))
    found = [_problem(tree, path, message, instead, at_key=True) for path, message, instead in refused]
    try:
        run = TrainingRun.model_validate(tree.value, by_alias=True, by_name=False)
    except ValidationError as error:
        found += _explained(tree, error, [path for path, _, _ in refused])
    if found:
        unique = dict.fromkeys(found)
        raise SpecError(tuple(sorted(unique, key=lambda problem: (problem.line, problem.column))))
    return run


def _header(tree: Tree) -> Iterable[Problem]:
    """Is it a TrainingRun at all?"""
    if tree.value is None:
        yield tree.problem("the file is empty", 1, 1, cure="`runwright init DATA` writes one to begin with")
    elif not isinstance(tree.value, dict):
        yield tree.problem(
            "this is not a TrainingRun", 1, 1, cure=f"begin with `apiVersion: {API_VERSION}` and `kind: {KIND}`"
        )
    else:
        for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
            value = tree.value.get(field)
            if value is None:
                yield _problem(tree, (field,), f"{field} is required", f"add `{field}: {wanted}`")
            elif value != wanted:
                near = isinstance(value, str) and bool(difflib.get_close_matches(value[:100], [wanted]))
                yield _problem(
                    tree,
                    (field,),
                    f'must be {wanted}, not "{str(value)[:60]}"',
                    f"did you mean {wanted}?" if near else "this version of runwright reads TrainingRuns only",
                )


def _explained(tree: Tree, error: ValidationError, refused: list[Path]) -> Iterable[Problem]:
    """What pydantic found, but for what lies inside a part that is refused anyway."""

    def written(path: Path) -> str | None:
        place = tree.places.get(path)
        return place.text if place else None

    for detail in error.errors(include_url=False):
        for path, message, cure in faults(detail, written):
            if not any(path[: len(part)] == part for part in refused):
                yield _problem(tree, path, message, cure, at_key=detail["type"] == "extra_forbidden")


def _problem(tree: Tree, path: Path, message: str, cure: str, *, at_key: bool = False) -> Problem:
    """A problem at the nearest place that stands in the text."""
    given = path
    while given and given not in tree.places:
        given = given[:-1]
    place = tree.places.get(given)
    if place is None:
        return Problem(message, dotted(path), cure, tree.file)
    if at_key or given != path:  # of a field that is missing, show the part it is missing from
        return tree.problem(message, place.key_line, place.key_column, path=path, cure=cure)
    return tree.problem(message, place.line, place.column, path=path, cure=cure)


def _unreadable(error: OSError, file: str) -> Problem:
    if isinstance(error, FileNotFoundError):
        folder = FileSystemPath(file).parent
        names = sorted(entry.name for entry in folder.glob("*.y*ml"))[:1000] if folder.is_dir() else []
        close = difflib.get_close_matches(FileSystemPath(file).name, names, n=1)
        cure = f"did you mean {folder / close[0]}?" if close else "`runwright init DATA` writes one to begin with"
        return Problem("there is no such file", file=file, cure=cure)
    if isinstance(error, IsADirectoryError):
        return Problem("this is a folder", file=file, cure="give the YAML file in it")
    if isinstance(error, PermissionError):
        return Problem("no permission to read this file", file=file, cure=f"chmod u+r {file}")
    return Problem(f"this file cannot be read: {error.strerror or error}", file=file)


def _not_utf8(content: bytes, error: UnicodeDecodeError, file: str) -> Problem:
    before = content[: error.start]
    line = before.count(b"\n") + 1
    column = error.start - (before.rfind(b"\n") + 1) + 1
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    return Problem(
        "this file is not UTF-8" + (" but UTF-16" if utf16 else f": byte 0x{content[error.start]:02x}"),
        cure="save it as UTF-8",
        file=file,
        line=line,
        column=column,
    )
