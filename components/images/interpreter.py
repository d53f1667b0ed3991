"""The image's own Python, run on this machine without an engine or root: its loader is told where its libraries lie."""

from __future__ import annotations

import subprocess
from pathlib import Path

from images.base import LIBRARIES, PYTHON

_COMPILE = """
import compileall, py_compile, sys
sys.argv = ["compileall", "-qq", "-f", "-s", sys.argv[1], "-p", "/", "--invalidation-mode", "unchecked-hash", *sys.argv[2:]]
compileall.main()
"""


def compile_all(base: Path, tree: Path, *folders: str) -> None:
    """Write the bytecode of every module in `folders` of `tree`, by the Python in `base`.

    The pods' file system is read-only, so that Python could not keep what it compiles. A module that does not compile
    (templates, code for other versions) is left as it is. The same sources give the same bytes: one process, a fixed
    order, a fixed hash seed; the bytecode names the paths in the image and no times.
    """
    subprocess.run(
        [
            *(base / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", base / LIBRARIES),
            *(base / f"usr/bin/python{PYTHON}", "-S", "-s", "-c", _COMPILE),
            *(tree, *(tree / folder for folder in folders)),
        ],
        env={"PYTHONHOME": str(base / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
