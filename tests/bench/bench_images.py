"""What the container images cost: their sizes, how long they take to build and to build again, and to start.

    python tests/bench/bench_images.py [NAME ...] [--repeat 5]        (Debian 12, root)

Each image is built from a copy of the checkout with an empty cache of layers (packages of Debian and wheels are at
hand, as they are from the second build on), then again after a module of ours was changed. Then it is unpacked, and
processes start in it as in a restricted pod: Python alone, and Python with what the image is for imported. Prints
tables; figures depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from images import build, oci  # noqa: E402
from images.layers import Made, Store  # noqa: E402
from images.oci import Assembled  # noqa: E402
from images.recipes import Builder  # noqa: E402
from images.table import IMAGES, Image  # noqa: E402
from tests.containers.sandbox import Sandbox, refusal  # noqa: E402

CHECKOUT = ("pyproject.toml", "LICENSE", "requirements", "operator", "pipelines", "components")
STARTS = {
    "operator": "import runwright_operator.starting",
    "serve": "import runwright_components.serve.server",
    "components-python": "import kfp.dsl.executor_main, runwright_components.train.session",
    "train-cuda": "import kfp.dsl.executor_main, runwright_components.train.session",
}
MB = 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(IMAGES))
    parser.add_argument("--repeat", type=int, default=5, help="starts of each process; the median counts")
    given = parser.parse_args()
    if reason := refusal():
        sys.exit(reason)
    print("| image | layers | compressed, MB | unpacked, MB | built from nothing, s | after a change of code, s |")
    print("|---|---|---|---|---|---|")
    starts = []
    for name in given.names or IMAGES:
        with tempfile.TemporaryDirectory(dir=_beside_the_cache()) as folder:
            built = _build(IMAGES[name], Path(folder))
            starts.append(_start(built, Path(folder) / "sandbox", given.repeat))
    print("\n| image | Python alone, s | with what it is for, s | |\n|---|---|---|---|")
    print("\n".join(starts))
    return 0


def _beside_the_cache() -> Path:
    """On the disk of the cache, so that files are linked and not copied, as in every build."""
    folder = build.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(image: Image, folder: Path) -> Assembled:
    checkout = folder / "checkout"
    for name in CHECKOUT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            checkout.mkdir(exist_ok=True)
            shutil.copy(source, checkout / name)
    store = Store(folder / "store")
    debs = _beside_the_cache() / "debs"
    if debs.exists():
        shutil.copytree(debs, store.folder / "debs")
    built, first = _timed(image, checkout, store)
    changed = checkout / "components/runwright_components/contract/step.py"
    changed.write_text(f"{changed.read_text()}\n\nCHANGED = True\n")
    again, second = _timed(image, checkout, store)
    assert built.digest != again.digest
    row = (len(built.layers), f"{built.size / MB:.0f}", f"{built.unpacked / MB:.0f}", f"{first:.1f}", f"{second:.1f}")
    print(f"| `{image.name}` | {' | '.join(map(str, row))} |", flush=True)
    return built


def _timed(image: Image, checkout: Path, store: Store) -> tuple[Assembled, float]:
    begun = time.perf_counter()
    builder = Builder(checkout, store, _quiet)
    layers = builder.layers(image)
    project = builder.project
    built = oci.assemble(image, project.version, project.licence, layers, store.layouts)
    return built, time.perf_counter() - begun


def _quiet(image: Image, made: Made) -> None:
    print(f"{image.name}: {made.layer.kind}: {made.seconds:.1f} s", file=sys.stderr, flush=True)


def _start(built: Assembled, folder: Path, repeat: int) -> str:
    sandbox = Sandbox.of(built, folder)
    code = STARTS[built.image.name]
    bare, ready = (
        statistics.median([_process(sandbox, what) for _ in range(repeat + 1)][1:])  # the first fills the page cache
        for what in ("", code)
    )
    return f"| `{built.image.name}` | {bare:.2f} | {ready:.2f} | `{code}` |"


def _process(sandbox: Sandbox, code: str) -> float:
    begun = time.perf_counter()
    done = sandbox.run("python", "-c", code, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - begun


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
