"""The image's own Python, run on this machine without an engine or root: its loader is told where its libraries lie."""

from __future__ import annotations

import subprocess
from pathlib import Path

from images.base import LIBRARIES, PYTHON

_OPTIONS = ("-qq", "-f", "--invalidation-mode", "unchecked-hash")


def compile_all(base: Path, tree: Path, *folders: str) -> None:
    """Write the bytecode of every module in `folders` of `tree`, by the Python in `base`.

    The pods' file system is read-only, so that Python could not keep what it compiles. A module that does not compile
    (a template, code for another version) is left as it is; that is what a status other than 0 would mean. The same
    sources give the same bytes: one process, a fixed order and hash seed, the paths in the image, and no times.
    """
    loader = (base / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", base / LIBRARIES)
    python = (*loader, base / f"usr/bin/python{PYTHON}", "-S", "-s")
    subprocess.run(
        [*python, "-m", "compileall", *_OPTIONS, "-s", tree, "-p", "/", *(tree / folder for folder in folders)],
        env={"PYTHONHOME": str(base / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        stdout=subprocess.DEVNULL,
    )
