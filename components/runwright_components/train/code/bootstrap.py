"""Starts user code: `python bootstrap.py KIND TARGET ARGUMENT...`, of the standard library alone.

KIND is `file` (a Python file), `module` (MODULE or MODULE:FUNCTION, found from the working folder), or `command`
(a program, which takes this process's place). The process dies with its parent. An exception is left as JSON in the
folder of RUNWRIGHT_ENDINGS, so that the stage need not guess from the output.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import runpy
import signal
import sys
import time
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path

ENDINGS = "RUNWRIGHT_ENDINGS"
LAST_LINES = 12
LONGEST = 2000


class NotStarted(Exception):  # noqa: N818 (its name is what the stage reads)
    """There is nothing to start under that name."""


def main(arguments: list[str]) -> int:
    """Run the user's code to its end. Returns the exit code."""
    _die_with_parent()
    endings = os.environ.pop(ENDINGS, "")
    kind, target, *rest = arguments
    try:
        if kind == "command":
            _become([target, *rest])
        sys.argv = [target, *rest]
        if kind == "file":
            sys.path[0] = str(Path(target).parent)
            runpy.run_path(target, run_name="__main__")
        else:
            sys.path[0] = str(Path.cwd())
            _run_module(target)
    except Exception as error:  # noqa: BLE001 (whatever it is, the stage must hear of it)
        if isinstance(error, NotStarted):
            print(error, file=sys.stderr)  # noqa: T201 (this is the code's own output)
        else:
            traceback.print_exception(_without_us(error))
        if endings:
            _leave(Path(endings), error)
        return 1
    return 0


def _become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell)
    except OSError as error:
        raise NotStarted(f"the program {command[0]!r} cannot be started: {error.strerror}") from error


def _run_module(target: str) -> None:
    name, _, function = target.partition(":")
    found = _find(name)
    if found is None:
        raise NotStarted(f"there is no module {name!r} in the folder {Path.cwd().name}")
    if not function:
        if found.submodule_search_locations is not None and _find(f"{name}.__main__") is None:
            raise NotStarted(f"{name!r} is a package without a module __main__")
        runpy.run_module(name, run_name="__main__", alter_sys=True)
        return
    start = getattr(importlib.import_module(name), function, None)
    if not callable(start):
        raise NotStarted(f"the module {name!r} has no function {function!r}")
    start()


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:  # of a package above it, or of what that imports
        if error.name and name.startswith(f"{error.name}."):
            return None
        raise


def _die_with_parent() -> None:
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died before the request
            os.kill(os.getpid(), signal.SIGKILL)


def _without_us(error: BaseException) -> BaseException:
    """The error with the traceback's frames of this file and of runpy cut off."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>", runpy.__file__):
        trace = trace.tb_next
    return error.with_traceback(trace)


def _leave(folder: Path, error: BaseException) -> None:
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    left = {
        "rank": int(os.environ.get("RANK", "0")),
        "time": time.time(),
        "kind": type(error).__name__,
        "message": str(error)[:LONGEST],
        "missing": getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None,
        "errno": getattr(error, "errno", None) if isinstance(error, OSError) else None,
        "trace": [line[:LONGEST] for line in lines[-LAST_LINES:]],
    }
    (folder / f"ending-{left['rank']}.json").write_text(json.dumps(left), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
