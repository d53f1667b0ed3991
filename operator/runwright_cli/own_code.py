"""What can be told of the user's own code before it runs: that its file, module and function are there.

Nothing of it is run or imported.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from runwright_api.loading import problem_in
from runwright_api.problems import SpecError
from runwright_api.spec.code import Code
from runwright_cli.files import RunFile

_Fault = tuple[str, str, str]  # the field of train.code, what is wrong, how to mend it


def check_code(found: RunFile, file: str | None) -> None:
    """Raise SpecError when `train.code` names what is not on this machine; code in storage is not looked at.

    `file` is where the TrainingRun stands as it is, for the line to be shown.
    """
    code = found.run.spec.train.code
    if code is None or code.path is None or code.path.startswith("s3://"):
        return
    fault = _fault(code, found.base / code.path)
    if fault is not None:
        field, message, cure = fault
        raise SpecError((problem_in(file, ("spec", "train", "code", field), message, cure),))


def _fault(code: Code, path: Path) -> _Fault | None:
    if not path.exists():
        cure = _near(path.name, (entry.name for entry in path.parent.glob("*")), "paths start from the YAML file")
        return "path", f"there is no such file or folder: {code.path}", cure
    if code.entrypoint is None:
        return ("path", f"{code.path} is a folder", "give a Python file") if path.is_dir() else _unreadable(path)
    if not path.is_dir():
        return "path", f"{code.path} is no folder", "give the folder that the entrypoint is found from"
    module, _, function = code.entrypoint.partition(":")
    return _fault_of_module(path, module, function)


def _fault_of_module(folder: Path, module: str, function: str) -> _Fault | None:
    names = module.split(".")
    if not _lies_in(folder, names[0]) and importlib.util.find_spec(names[0]) is not None:
        return None  # an installed package
    place = folder.joinpath(*names)
    file = next((path for path in (place.with_name(f"{place.name}.py"), place / "__init__.py") if path.is_file()), None)
    if file is None and not (place.is_dir() and not function):
        siblings = (entry.stem for entry in place.parent.glob("*") if entry.suffix in ("", ".py"))
        cure = _near(names[-1], siblings, "a folder's modules are found from the folder itself")
        return "entrypoint", f"there is no module {module!r} in the folder {folder.name}", cure
    if not function:
        if place.is_dir() and not (place / "__main__.py").is_file():
            return "entrypoint", f"{module!r} is a package without a module __main__", f"write {module}:FUNCTION"
        return _unreadable(file or place / "__main__.py", "entrypoint")
    assert file is not None
    if (fault := _unreadable(file, "entrypoint")) is not None:
        return fault
    defined = set(_defined(ast.parse(file.read_bytes()).body))
    if function in defined or "*" in defined:
        return None
    return (
        "entrypoint",
        f"the module {module!r} has no function {function!r}",
        _near(function, defined, "name one of it"),
    )


def _lies_in(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def _unreadable(file: Path, field: str = "path") -> _Fault | None:
    try:
        ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return field, f"{file.name}{f':{line}' if line else ''} is not Python: {error.args[0]}", "mend the file"
    return None


def _defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Names that a module's statements define at its top, also below `if` and `try`; `*` where that cannot be told."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (one.asname or one.name.partition(".")[0] for one in names)
            case ast.Assign() | ast.AnnAssign():
                yield from (one.id for one in ast.walk(node) if isinstance(one, ast.Name))
            case ast.If() | ast.Try() | ast.With():
                for _, inner in ast.iter_fields(node):
                    if isinstance(inner, list):
                        yield from _defined(one for one in inner if isinstance(one, ast.stmt))


def _near(name: str, names: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, sorted(names)[:1000], n=1)
    return f"did you mean {close[0]}?" if close else otherwise
