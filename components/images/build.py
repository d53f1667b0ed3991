"""Builds Runwright's container images; no container engine and no registry is needed.

    python components/images/build.py [NAME ...] [--push HOST:PORT/PREFIX] [--save FOLDER] [--json]

Layers that have not changed are taken from the cache (RUNWRIGHT_CACHE, else ~/.cache/runwright).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # so that `images` is found, and modules here shadow nothing

from images import crane, oci, sbom
from images.layers import Made, Store
from images.oci import Assembled
from images.recipes import Builder
from images.table import IMAGES, REGISTRY, Image

ROOT = Path(__file__).resolve().parents[2]
MB = 1e6


def cache() -> Path:
    """Folder for what is built once."""
    given = os.environ.get("RUNWRIGHT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "runwright"


def main(arguments: list[str] | None = None) -> int:
    """The exit code of the program."""
    given = _parser().parse_args(arguments)
    try:
        built = build(given.names or list(IMAGES))
        references = {image.image.name: f"{image.image.name}@{image.digest}" for image in built}
        for image in built:
            tag = given.tag or image.version
            if given.save:
                _save(image, f"{given.push or REGISTRY}/{image.image.name}:{tag}", given.save)
            if given.push:
                references[image.image.name] = push(image, given.push, tag, insecure=given.insecure)
    except RuntimeError as error:
        _say(f"error: {error}")
        return 1
    print(json.dumps(references) if given.json else "\n".join(references.values()))  # noqa: T201
    return 0


def build(names: list[str]) -> list[Assembled]:
    """The images of those names, from this checkout."""
    store = Store(cache() / "images")
    builder = Builder(ROOT, store, _report)
    built = []
    for name in names:
        image = IMAGES[name]
        layers = builder.layers(image)
        made = oci.assemble(image, builder.project.version, builder.project.licence, layers, store.layouts)
        _say(f"{name}: {made.digest}, {made.size / MB:.1f} MB, {made.unpacked / MB:.1f} MB unpacked")
        built.append(made)
    store.forget_unused()
    return built


def push(image: Assembled, prefix: str, tag: str, *, insecure: bool = False) -> str:
    """Bring an image to a registry; its reference there, by digest."""
    begun = time.monotonic()
    crane.push(crane.crane(cache()), image.folder, f"{prefix}/{image.image.name}:{tag}", insecure=insecure)
    _say(f"{image.image.name}: pushed in {time.monotonic() - begun:.1f} s")
    return f"{prefix}/{image.image.name}@{image.digest}"


def _save(image: Assembled, reference: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    oci.save(image, reference, folder / f"{image.image.name}.tar")
    (folder / f"{image.image.name}.cdx.json").write_bytes(sbom.of(image.layers[-1]))


def _report(image: Image, made: Made) -> None:
    layer = made.layer
    how = f"built in {made.seconds:.1f} s" if made.built else "reused"
    _say(f"{image.name}: {layer.kind}: {layer.size / MB:.1f} MB, {layer.unpacked / MB:.1f} MB unpacked, {how}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python components/images/build.py", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*IMAGES, []], help=", ".join(IMAGES))
    parser.add_argument("--push", metavar="HOST:PORT/PREFIX", help="bring the images to a registry, as PREFIX/NAME:TAG")
    parser.add_argument("--insecure", action="store_true", help="that registry speaks HTTP")
    parser.add_argument("--save", metavar="FOLDER", type=Path, help="write NAME.tar and NAME.cdx.json there")
    parser.add_argument("--tag", help="the images' tag; the version of the project when it is not given")
    parser.add_argument("--json", action="store_true", help="print a JSON object: name -> reference with digest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
