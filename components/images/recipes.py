"""How each image is put together from layers: what decides a layer, and what fills it."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from images import base, cuda, interpreter, ours, packages, sbom
from images.layers import Layer, Made, Part, Store, alone, key_of
from images.table import Image

Told = Callable[[Image, Made], None]
"""Hears of each layer."""

_HERE = Path(__file__).parent


class Builder:
    """Builds images of the checkout at `root`; layers are kept in `store`."""

    def __init__(self, root: Path, store: Store, told: Told) -> None:
        self.root = root
        self.project = ours.project(root)
        self._store = store
        self._told = told

    def layers(self, image: Image) -> list[Layer]:
        """The layers of an image, from below; those that are not there are built."""
        return [self._tell(image, made) for made in self._layers(image)]

    def _tell(self, image: Image, made: Made) -> Layer:
        self._told(image, made)
        return made.layer

    def _layers(self, image: Image) -> Iterator[Made]:
        lowest = self._debian("base", base.PACKAGES, finished=True)
        yield lowest
        below = [lowest.layer]
        python = self._unpacked(lowest.layer)
        for made in self._between(image, python, lowest.layer.key):
            yield made
            below.append(made.layer)
        yield self._ours(image, python, below)

    def _between(self, image: Image, python: Path, base_key: str) -> Iterator[Made]:
        if image.posix_shell:
            yield self._debian("shell", base.SHELL, finished=False)
        requirements = self.root / "requirements" / image.requirements
        leave = [packages.UNWANTED, *([re.compile(image.without)] if image.without else [])]
        lowest = [*leave, *([] if image.cuda == "none" else [cuda.PARTS])]
        yield self._packages("packages", requirements, python, base_key, leave=lowest)
        if image.cuda == "all":
            others = [*leave, cuda.UNUSED, cuda.OTHERS]
            yield self._packages("cuda", requirements, python, base_key, leave=others)
        elif image.cuda == "stand-ins":
            yield self._stand_ins(requirements)

    def _debian(self, kind: str, table: base.Table, *, finished: bool) -> Made:
        found = base.candidates(table)
        sums = {name: package.sha256 for name, package in found.items()}
        code = [_HERE / name for name in ("base.py", "interpreter.py")]

        def fill(tree: Path) -> tuple[Part, ...]:
            parts = base.fill(tree, table, found, self._store.folder / "debs")
            if finished:
                base.finish(tree)
                interpreter.compile_all(tree, tree, f"usr/lib/python{base.PYTHON}")
            return parts

        return self._store.layer(kind, key_of(*code, debs=sums), fill)

    def _packages(
        self, kind: str, requirements: Path, python: Path, base_key: str, *, leave: list[re.Pattern[str]]
    ) -> Made:
        patterns = [pattern.pattern for pattern in leave]
        key = key_of(
            *(_HERE / name for name in ("packages.py", "interpreter.py")),
            **packages.sources(requirements),
            patterns=patterns,
            base=base_key,
        )

        def fill(tree: Path) -> tuple[Part, ...]:
            packages.install(tree, requirements)
            packages.prune(tree, *leave)
            interpreter.compile_all(python, tree, base.SITE)
            return packages.parts(tree)

        return self._store.layer(kind, key, fill)

    def _stand_ins(self, requirements: Path) -> Made:
        key = key_of(_HERE / "cuda.py", _HERE / "elf.py", **packages.sources(requirements))

        def fill(tree: Path) -> tuple[Part, ...]:
            with self._store.scratch() as folder:
                packages.install(folder, requirements)
                cuda.stand_ins(folder / base.SITE, tree / base.SITE)
            return ()

        return self._store.layer("stand-ins", key, fill)

    def _ours(self, image: Image, python: Path, below: list[Layer]) -> Made:
        files = ours.files(self.project, image.ours)
        keys = [layer.key for layer in below]
        code = [_HERE / name for name in ("ours.py", "interpreter.py", "sbom.py")]
        about = [image.name, image.about, *map(str, (self.project.version, self.project.summary))]
        key = key_of(*code, files=ours.sums(files), below=keys, about=about)

        def fill(tree: Path) -> tuple[Part, ...]:
            ours.place(tree, self.project, files)
            interpreter.compile_all(python, tree, ours.SITE)
            parts = (self.project.part, *(part for layer in below for part in layer.parts))
            target = tree / sbom.PLACE
            target.parent.mkdir(parents=True)
            target.write_bytes(sbom.bill(image.name, image.about, self.project.version, parts))
            return (self.project.part,)

        return self._store.layer("code", key, fill)

    def _unpacked(self, layer: Layer) -> Path:
        """The base as files, whose Python compiles what lies above it."""
        target = self._store.trees / layer.key
        target.parent.mkdir(exist_ok=True)
        with alone(target):
            if target.exists():
                os.utime(target)
            else:
                with self._store.scratch() as folder, tarfile.open(layer.path) as archive:
                    archive.extractall(folder / "tree", filter="tar")
                    (folder / "tree").rename(target)
        return target
