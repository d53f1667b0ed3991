"""Listing and reading S3: the collect stage against s3fs, side by side.

    python -m venv /tmp/s3fs && /tmp/s3fs/bin/pip install s3fs
    python tests/bench/bench_s3.py --s3fs /tmp/s3fs/bin/python --repeat 5

The server is versitygw over a folder on this machine, which takes its part of the same cores: 10,000 small objects to
list with their sizes and times, and 500 objects of 1 MB to bring onto the disk. Each side is a process of its own, and
they take turns; the seconds are without imports. Prints JSON: of each side the medians of seconds and of processor
seconds of the client alone, and their ratios to ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

BUCKET, MANY, LARGE = "bench", "many", "large"
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret", "AWS_REGION": "us-east-1"}


# ---------------------------------------------------------------- the sides


def ours(endpoint: str, work: str, out: Path) -> int:
    from runwright_components.collect.buckets import object_files, object_signs
    from runwright_components.contract.config import Source
    from runwright_components.contract.progress import silent

    source = Source(name="bench", uri=f"s3://{BUCKET}/{work}/", endpoint=endpoint, region="us-east-1")
    if work == MANY:
        return len(object_signs(source))
    numbers = count()
    return len(object_files(source, scratch=lambda: out / f"{next(numbers)}", progress=silent("collect")))


def s3fs(endpoint: str, work: str, out: Path) -> int:
    from s3fs import S3FileSystem

    files = S3FileSystem(
        key=KEYS["AWS_ACCESS_KEY_ID"], secret=KEYS["AWS_SECRET_ACCESS_KEY"], client_kwargs={"endpoint_url": endpoint}
    )
    if work == MANY:
        return len(files.find(f"{BUCKET}/{work}/", detail=True))
    files.get(f"{BUCKET}/{work}/", f"{out}/", recursive=True)
    return sum(path.is_file() for path in out.rglob("*"))


SIDES: dict[str, Callable[[str, str, Path], int]] = {"ours": ours, "s3fs": s3fs}


def measure(side: str, endpoint: str, work: str) -> None:
    """Run one side in this process and print its figures."""
    if side == "s3fs":
        import s3fs  # noqa: F401 - imports are no work
    else:
        import runwright_components.collect.buckets
        import runwright_components.storage.s3  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        number = SIDES[side](endpoint, work, Path(folder))
        figures = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
    print(json.dumps({"objects": number, **figures}))


# ---------------------------------------------------------------- side by side


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The endpoint of a server over the folder's buckets."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.cluster.tier.binaries import binary
    from tests.emulators.running import free_port

    address = f"127.0.0.1:{free_port()}"
    secrets = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    command = [str(binary("versitygw")), "--port", address, "--region", "us-east-1", "--quiet", "posix", str(folder)]
    with subprocess.Popen(command, env={**os.environ, **secrets}, stdout=subprocess.DEVNULL) as server:
        try:
            time.sleep(2)
            yield f"http://{address}"
        finally:
            server.terminate()


def fill(bucket: Path) -> None:
    """Objects as the server's folder keeps them."""
    for work, number, size in ((MANY, 10_000, 10), (LARGE, 500, 1_000_000)):
        for index in range(number):
            path = bucket / work / f"{index % 10}" / f"{index:05}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.randbytes(size))


def compare(endpoint: str, work: str, interpreters: dict[str, str], repeat: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(repeat):
        for side, figures in found.items():
            command = [interpreters[side], __file__, "--side", side, "--endpoint", endpoint, "--work", work]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **KEYS})
            figures.append(json.loads(done.stdout))
    medians = {
        side: {name: round(statistics.median(each[name] for each in figures), 3) for name in figures[0]}
        for side, figures in found.items()
    }
    for each in medians.values():
        each["seconds_to_ours"] = round(each["seconds"] / medians["ours"]["seconds"], 2)
    return medians


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--s3fs", default=sys.executable, help="a Python that has s3fs")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=[MANY, LARGE], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        measure(given.side, given.endpoint, given.work)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            fill(Path(temporary, BUCKET))
            with served(Path(temporary)) as endpoint:
                pythons = {"ours": sys.executable, "s3fs": given.s3fs}
                figures = {
                    "10,000 objects listed": compare(endpoint, MANY, pythons, given.repeat),
                    "500 MB read": compare(endpoint, LARGE, pythons, given.repeat),
                }
        print(json.dumps(figures, indent=2))
