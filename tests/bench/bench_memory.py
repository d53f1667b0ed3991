"""Collect and prepare over a table larger than memory: is the memory bounded?

    python tests/bench/bench_memory.py --gigabytes 20 --limit-gib 4 --cgroup /sys/fs/cgroup/memory/bench

The source is Parquet of few distinct values, so that it is small on disk; its size is that of the same rows as CSV.
Each stage is a process of its own in a memory cgroup (version 1, root) of the given limit, which counts the pages of
files that the kernel holds for it, too; without `--cgroup` memory is only watched. Prints JSON: of each stage the
seconds, the peak of its own (anonymous) memory, and the bytes that it left on disk. Needs about half of the source's
size on disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl

CHUNK = 1_000_000  # rows of a file
_COLLECT = """
from runwright_components.collect import collect
from runwright_components.contract.config import CollectConfig, Source
source = Source(name="rows", uri="source")
collect(CollectConfig(sources=(source,), base="."), out=Path("raw"), progress=silent("collect"))
"""
_PREPARE = """
from runwright_components.contract.config import PrepareConfig
from runwright_components.prepare import prepare
config = PrepareConfig(modality="tabular", task="classification", target="y")
prepare(config, raw=Path("raw"), out=Path("prepared"), progress=silent("prepare"))
"""
_BEGIN = "from pathlib import Path\nfrom runwright_components.contract.progress import silent\n"


def rows_of(part: int) -> pl.DataFrame:
    """Six numbers with gaps, four categories, a moment, three notes of a hundred letters and a class."""
    random = np.random.default_rng(part)
    words = pl.Series([f"a note of some length, number {number:04d}, ".ljust(100, "x") for number in range(1000)])
    data: dict[str, pl.Series] = {"id": pl.int_range(part * CHUNK, (part + 1) * CHUNK, eager=True)}
    for column in range(6):
        values = random.integers(0, 5000, CHUNK) / 8
        values[random.random(CHUNK) < 0.05] = np.nan
        data[f"x{column}"] = pl.Series(values).fill_nan(None)
    for column in range(4):
        data[f"s{column}"] = words.str.slice(15, 20).gather(pl.Series(random.integers(0, 200, CHUNK)))
    seconds = pl.Series(random.integers(1_500_000_000, 1_700_000_000, CHUNK) // 3600 * 3600)
    data["when"] = (seconds * 1_000_000).cast(pl.Datetime("us"))
    for column in range(3):
        data[f"note{column}"] = words.gather(pl.Series(random.integers(0, 1000, CHUNK)))
    data["y"] = pl.Series(random.integers(0, 3, CHUNK))
    return pl.DataFrame(data)


def generate(folder: Path, size: float) -> tuple[int, float]:
    """Write files until their rows would be `size` bytes of CSV; gives the rows and those bytes."""
    folder.mkdir()
    part, total, each = 0, 0.0, 0.0
    while total < size:
        frame = rows_of(part)
        each = each or len(frame.head(10_000).write_csv(include_header=False).encode()) / 10_000 * CHUNK
        frame.write_parquet(folder / f"{part:04}.parquet", compression="zstd")
        part, total = part + 1, total + each
    return part * CHUNK, total


def watched(program: str, folder: Path, cgroup: Path | None) -> dict[str, float]:
    """Run a program in a process of its own and watch its anonymous memory."""
    enter = f"Path({str(cgroup / 'cgroup.procs')!r}).write_text('0')\n" if cgroup else ""
    started, peak = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-c", _BEGIN + enter + program], cwd=folder) as process:
        while process.poll() is None:
            with suppress(OSError):
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
            time.sleep(0.05)
    figures = {"seconds": round(time.perf_counter() - started, 1), "peak_gib": round(peak / 2**20, 2)}
    return {"failed": process.returncode, **figures} if process.returncode else figures


def limited(folder: Path, limit: float) -> Path:
    """A cgroup (version 1, memory) of so many GiB."""
    folder.mkdir(exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(str(int(limit * 2**30)))
    return folder


def size_of(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--limit-gib", type=float, default=4.0)
    parser.add_argument("--cgroup", type=Path)
    given = parser.parse_args()
    group = limited(given.cgroup, given.limit_gib) if given.cgroup else None
    try:
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            rows, size = generate(place / "source", given.gigabytes * 1e9)
            found: dict[str, object] = {"rows": rows, "csv_gb": round(size / 1e9, 1), "source_gb": size_of(place)}
            found["collect"] = {**watched(_COLLECT, place, group), "written_gb": size_of(place / "raw")}
            found["prepare"] = {**watched(_PREPARE, place, group), "written_gb": size_of(place / "prepared")}
            print(json.dumps(found, indent=2))
    finally:
        if group is not None:
            group.rmdir()
