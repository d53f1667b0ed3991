"""`crane`, which brings images to registries: the one on PATH, else built from its Go module and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from images.layers import alone

VERSION = "v0.21.9"  # as in tests/cluster/tier/binaries.py, so that it is built once
_PROGRAM = "github.com/google/go-containerregistry/cmd/crane"


def crane(cache: Path) -> Path:
    """The program. Raises RuntimeError where it is neither there nor can be built."""
    if found := shutil.which("crane"):
        return Path(found)
    target = cache / "bin" / f"crane-{VERSION}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target):
            if not target.exists():
                _build(target)
    return target


def push(program: Path, layout: Path, reference: str, *, insecure: bool) -> None:
    """Bring the image in an OCI layout to a registry; what lies there already is not sent again."""
    done = subprocess.run(
        [program, "push", *(["--insecure"] if insecure else []), layout, reference], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"crane push {reference}: {done.stderr.strip()[-2000:]}")


def _build(target: Path) -> None:
    if shutil.which("go") is None:
        raise RuntimeError("pushing needs crane on PATH, or Go 1.24 or later to build it")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        done = subprocess.run(
            ["go", "install", "-trimpath", "-ldflags=-s -w", f"{_PROGRAM}@{VERSION}"],
            env={**os.environ, "GOBIN": folder, "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0", "GOWORK": "off"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"go install {_PROGRAM}@{VERSION}: {done.stderr.strip()[-2000:]}")
        (Path(folder) / "crane").rename(target)
