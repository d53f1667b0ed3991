"""The uppermost layer: our own packages alone, so that a change of code is a small layer."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from images.layers import Part

SITE = "usr/local/lib/python3.11/dist-packages"  # before third-party packages on Python's path


@dataclass(frozen=True)
class Project:
    """What pyproject.toml says of us."""

    root: Path
    name: str
    version: str
    summary: str
    licence: str
    packages: dict[str, Path]

    @property
    def part(self) -> Part:
        return Part(self.name, self.version, f"pkg:pypi/{self.name}@{self.version}", (self.licence,), self.summary)


def project(root: Path) -> Project:
    """Our distribution: its packages are those that the wheel would have."""
    told = tomllib.loads((root / "pyproject.toml").read_text())
    about = told["project"]
    packages = told["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return Project(
        root,
        about["name"],
        about["version"],
        about["description"],
        about["license"],
        {Path(package).name: root / package for package in packages},
    )


def files(project: Project, packages: Iterable[str]) -> dict[str, Path]:
    """The files of our packages by their path below the packages' folder: modules, templates, and other data."""
    found = {}
    for package in sorted(packages):
        top = project.packages[package]
        for path in sorted(top.rglob("*")):
            name = path.relative_to(top.parent)
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
                found[name.as_posix()] = path
    return found


def sums(files: dict[str, Path]) -> dict[str, str]:
    """The hash of each file: what decides the layer."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def place(tree: Path, project: Project, files: dict[str, Path]) -> None:
    """Copy our files, with the metadata that `importlib.metadata` reads and the licence."""
    for name, path in files.items():
        target = tree / SITE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    about = tree / SITE / f"{project.name}-{project.version}.dist-info"
    (about / "licenses").mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.4\n"
        f"Name: {project.name}\n"
        f"Version: {project.version}\n"
        f"Summary: {project.summary}\n"
        f"License-Expression: {project.licence}\n"
        "License-File: LICENSE\n"
    )
    shutil.copyfile(project.root / "LICENSE", about / "licenses/LICENSE")
