"""`runwright profile` on a generated table with dirt, from the file to the section and the page.

    python tests/bench/bench_profile.py --rows 1000000

The table: 10 numeric columns (2 with decimal commas, one with -999 for missing, one with far values), 5 categorical
ones of 2 to 1000 values with words that mean missing and changed case, 2 columns of dates, a truth value, an identifier
and a target of 3 classes; 1 % duplicate rows. The command runs as a whole process, the smaller of two runs counts; the
first reads a cold file. Prints JSON: seconds (the clock's, and the processors' together) and peak memory, of CSV and of
Parquet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

SEED = 7
RUNS = 2


def table(rows: int) -> pl.DataFrame:
    """A dirty table of 20 columns, all text but for what Parquet would have typed."""
    random = np.random.default_rng(SEED)
    columns: dict[str, pl.Series] = {"row_id_no": pl.Series(range(rows), dtype=pl.Int64)}
    for place in range(7):
        values = pl.Series(random.normal(place, 1 + place, rows).round(4))
        columns[f"x{place}"] = values.set(pl.Series(random.random(rows) < 0.05), None)
    columns["x5"] = columns["x5"].set(pl.Series(random.random(rows) < 0.01), -999.0)
    columns["x6"] = columns["x6"].set(pl.Series(random.random(rows) < 0.001), 1e6)
    for name in ("eur", "usd"):
        amounts = pl.Series(random.integers(100, 100_000, rows))
        columns[name] = (amounts // 100).cast(pl.String) + "," + (amounts % 100).cast(pl.String).str.zfill(2)
    columns["age"] = pl.Series(random.integers(18, 90, rows))
    for name, count in {"sex": 2, "city": 20, "product": 200, "shop": 1000, "grade": 5}.items():
        words = pl.Series([f"{name}-{place:04d}" for place in range(count)] + [f"{name.upper()}-0000", "N/A"])
        columns[name] = words.gather(pl.Series(random.integers(0, len(words), rows)))
    for name, form in {"ordered": "%d.%m.%Y", "shipped": "%Y-%m-%d"}.items():
        days = pl.Series(random.integers(18_000, 19_700, rows), dtype=pl.Int32).cast(pl.Date)
        columns[name] = days.dt.strftime(form)
    columns["member"] = pl.Series(["yes", "no"]).gather(pl.Series(random.integers(0, 2, rows)))
    columns["y"] = pl.Series(["low", "mid", "high"]).gather(pl.Series(random.integers(0, 3, rows)))
    frame = pl.DataFrame(columns)
    return pl.concat([frame.head(rows - rows // 100), frame.head(rows // 100)])


def measured(path: Path, page: Path) -> dict[str, float]:
    """Seconds on the clock and of processors, and peak memory (MiB), of the command as a process."""
    started = time.monotonic()
    command = [sys.executable, "-m", "runwright_cli", "profile", str(path), "--html", str(page), "--force"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": round(time.monotonic() - started, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mib": usage.ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
        frame, page = table(rows), Path(folder) / "page.html"
        files = {"csv": Path(folder) / "table.csv", "parquet": Path(folder) / "table.parquet"}
        frame.write_csv(files["csv"])
        frame.write_parquet(files["parquet"])
        columns = frame.width
        del frame
        runs = {name: [measured(path, page) for _ in range(RUNS)] for name, path in files.items()}
        best = {name: min(each, key=lambda run: run["seconds"]) for name, each in runs.items()}
        mib = {name: round(path.stat().st_size / 2**20) for name, path in files.items()}
    print(json.dumps({"rows": rows, "columns": columns, "file_mib": mib, **best}, indent=2))


if __name__ == "__main__":
    main()
