"""Reading a CSV file into Parquet: the collect stage against DuckDB, side by side.

    python tests/bench/bench_csv.py --rows 5000000 --repeat 5

The file has 10 columns: two whole numbers, a price with gaps, two floats, two words, a moment, a truth value and a
note in quotes that holds a comma; 137 bytes a row. Ours keeps every field as it stands, digests the file, and checks
the width of each record; so does DuckDB with `all_varchar` but for the last two, and its default also finds types.
Each reading is a process of its own, and the sides take turns. Prints JSON: of each side the medians of seconds and
processor seconds, their ratios to ours, the peak of memory and the bytes written.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

_COLUMNS = """i AS id, (random() * 1000)::INT AS a, CASE WHEN random() < 0.95 THEN round(random() * 1e4, 2) END
AS price, random() AS x, random() - 0.5 AS y, 'word-' || (random() * 1000)::INT AS word,
'city of ' || (random() * 50)::INT AS city,
TIMESTAMP '2020-01-01' + INTERVAL 1 MINUTE * i AS moment, i % 3 = 0 AS truth,
'some longer text with, a comma ' || (random() * 1e6)::INT AS note"""


def ours(file: Path, out: Path) -> None:
    from runwright_components.collect import collect
    from runwright_components.contract.config import CollectConfig, Source
    from runwright_components.contract.progress import silent

    config = CollectConfig(sources=(Source(name="rows", uri=file.name),), base=str(file.parent))
    collect(config, out=out / "raw", progress=silent("collect"))


def duck(file: Path, out: Path, *, options: str = "", compression: str = "snappy") -> None:
    read = f"SELECT * FROM read_csv('{file}'{options})"
    duckdb.sql(f"COPY ({read}) TO '{out / 'rows.parquet'}' (FORMAT parquet, COMPRESSION {compression})")


SIDES: dict[str, Callable[[Path, Path], None]] = {
    "ours": ours,
    "DuckDB, all_varchar": lambda file, out: duck(file, out, options=", all_varchar = true"),
    "DuckDB, all_varchar, zstd": lambda file, out: duck(file, out, options=", all_varchar = true", compression="zstd"),
    "DuckDB, types found": duck,
}


def measure(side: str, file: Path) -> None:
    """Run one side in this process and print its figures."""
    if side == "ours":
        import runwright_components.collect.tables  # noqa: F401 - imports are no work
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        wall, processor = time.perf_counter(), time.process_time()
        SIDES[side](file, Path(folder))
        figures = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
        written = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**figures, "peak_mib": peak, "written_mib": written / 2**20}))


def compare(file: Path, repeat: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(repeat):
        for side, figures in found.items():
            command = [sys.executable, __file__, "--side", side, "--file", str(file)]
            figures.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {
        side: {name: round(statistics.median(each[name] for each in figures), 2) for name in figures[0]}
        for side, figures in found.items()
    }
    return {
        side: {**each, **{f"{name}_to_ours": round(each[name] / medians["ours"][name], 2) for name in list(each)[:2]}}
        for side, each in medians.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        measure(given.side, given.file)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            target = Path(temporary, "rows.csv")
            duckdb.sql(f"COPY (SELECT {_COLUMNS} FROM range({given.rows}) t(i)) TO '{target}' (HEADER)")
            print(json.dumps({"mib": target.stat().st_size >> 20, **compare(target, given.repeat)}, indent=2))
