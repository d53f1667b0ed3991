"""The layer of third-party packages: the pinned wheels, without what only their developers need, compiled."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path

from images.base import PYTHON, SITE
from images.layers import Part, remove

PLATFORM = "x86_64-manylinux_2_36"  # what Debian 12's C library can load
FROM_SOURCE = ("kfp", "kfp-server-api")  # plain Python of which PyPI has no wheels; all others must come as wheels

UNWANTED = re.compile(
    "|".join(
        (
            # programs: their first line names this machine's Python; `python -m` starts the same
            r"bin/",
            # what an installer keeps for itself, and where it ran
            r"[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_\w+\.json)$",
            # tests of packages; jinja2.tests, one file, is no such thing, and mpmath's is imported by nobody
            r"(.*/)?tests/",
            r"onnx/backend/test/data/",
            r"torch/(test/|share/|bin/(?!torch_shm_manager$))",
            # what is for building: sources and headers, setuptools, protobuf's compiler
            r"(.*/)?include/",
            r".*\.(a|h|hpp|cuh|cu|c|cc|cpp|pyx|pxd|pxi|lib|cmake)$",
            r"(setuptools|_distutils_hack|pkg_resources|grpc_tools|numpy/f2py|numpy/distutils)/",
            r"distutils-precedence\.pth$",
            r"(setuptools|grpcio_tools)-[^/]*\.dist-info/",
            # what Debian's own package of that name brings
            r"tzdata(-[^/]*\.dist-info)?/",
            # type stubs
            r".*\.pyi$",
        )
    )
)


def install(tree: Path, requirements: Path) -> None:
    """Install the pinned requirements into `tree`, as the image's Python finds them."""
    target = tree / SITE
    wheels = [name for name in _names(requirements) if name not in FROM_SOURCE]
    command: list[str | Path] = [
        *(_uv(), "pip", "install", "--quiet", "--target", target, "--requirements", requirements),
        *("--no-deps", "--require-hashes", "--link-mode", "hardlink"),
        *(f"--only-binary={name}" for name in wheels),
        *("--build-constraints", requirements.with_name("dev.txt")),
        *("--python-version", PYTHON, "--python-platform", PLATFORM, "--python", sys.executable, "--no-config"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "UV_NO_PROGRESS": "1"})
    if done.returncode:
        raise RuntimeError(f"uv pip install of {requirements.name}: {done.stderr.strip()[-3000:]}")


def _names(requirements: Path) -> list[str]:
    return re.findall(r"^([a-z0-9-]+)==", requirements.read_text(), re.MULTILINE)


def prune(tree: Path, *patterns: re.Pattern[str]) -> None:
    """Remove files whose path below the packages' folder a pattern matches, then folders that are left empty."""
    top = tree / SITE
    for folder, _, files in os.walk(top, topdown=False):
        for name in files:
            path = Path(folder) / name
            if any(pattern.match(path.relative_to(top).as_posix()) for pattern in patterns):
                remove(path)
        if not any(Path(folder).iterdir()) and Path(folder) != top:
            Path(folder).rmdir()


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise RuntimeError("uv is needed to install the pinned requirements: make setup")
    return found


def parts(tree: Path) -> tuple[Part, ...]:
    """The distributions in `tree`, by their own metadata."""
    found = distributions(path=[str(tree / SITE)])
    return tuple(sorted(map(_part, found), key=lambda part: part.name))


def _part(distribution: Distribution) -> Part:
    metadata = _metadata(distribution)
    name = re.sub(r"[-_.]+", "-", metadata["Name"]).lower()
    purl = f"pkg:pypi/{name}@{distribution.version}"
    return Part(name, distribution.version, purl, tuple(_licences(distribution)), metadata.get("Summary") or "")


def _metadata(distribution: Distribution) -> Message:
    """It is a message, though its declared type hides the half of that."""
    assert isinstance(distribution.metadata, Message)
    return distribution.metadata


def _licences(distribution: Distribution) -> Iterable[str]:
    """An SPDX expression where there is one, else what the package calls its licence."""
    metadata = _metadata(distribution)
    if expression := metadata.get("License-Expression"):
        return [expression]
    classified = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier") or []
        if classifier.startswith("License :: ") and classifier.count(" :: ") > 1
    ]
    said = (metadata.get("License") or "").strip()
    return [said] if said and "\n" not in said and len(said) < 80 else classified


def sources(requirements: Path) -> dict[str, str]:
    """What decides the layer: the pins. Comments and which pin came through which package do not."""
    text = requirements.read_text()
    pins = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return {"pins": json.dumps(pins), "python": PYTHON, "platform": PLATFORM}
