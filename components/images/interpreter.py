"""The image's own Python, run on this machine without an engine or root: its loader is told where its libraries lie."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from images.base import LIBRARIES, PYTHON

_OPTIONS = ("-qq", "-f", "--invalidation-mode", "unchecked-hash")
_SHARES = 8  # of the work, the same on every machine
_NOT_ALL_COMPILED = 1


def compile_all(base: Path, tree: Path, folder: str) -> None:
    """Write the bytecode of every module in `folder` of `tree`, by the Python in `base`.

    The pods' file system is read-only, so that Python could not keep what it compiles. A module that does not compile
    (a template, code for another version) is left as it is. The same sources give the same bytes: what one process
    compiles, its order and its hash seed are fixed, and bytecode names paths in the image and no times.
    """
    entries = sorted(path for path in (tree / folder).iterdir() if path.is_dir() or path.suffix == ".py")
    shares = [entries[number::_SHARES] for number in range(_SHARES)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(partial(_compile, base, tree), filter(None, shares)))


def _compile(base: Path, tree: Path, entries: list[Path]) -> None:
    loader = (base / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", base / LIBRARIES)
    python = (*loader, base / f"usr/bin/python{PYTHON}", "-S", "-s")
    done = subprocess.run(
        [*python, "-m", "compileall", *_OPTIONS, "-s", tree, "-p", "/", *entries],
        env={"PYTHONHOME": str(base / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in (0, _NOT_ALL_COMPILED):
        raise RuntimeError(f"the image's Python ended with {done.returncode}: {done.stderr[-2000:]}")
