"""Reading a database into a Parquet file: ours against plain ADBC and, where it can be imported, ConnectorX.

    python tests/bench/bench_sql.py --rows 1000000 --repeat 3

The table has 10 columns: an identifier, two integers, three floats, a price (numeric), a timestamp, a word of 1000 and
a truth value; some values are NULL. PostgreSQL runs on this machine for the time of the benchmark; SQLite is a file.
Each reading is a process of its own, and they take turns; the seconds are those of the reading, without imports.
Prints JSON: of each side the median seconds and the peak memory, and the ratios of the seconds to ours.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
import adbc_driver_sqlite.dbapi as sqlite
import pyarrow.parquet as pq

from runwright_components.collect.sql.reading import sql_files
from runwright_components.contract.config import Source
from runwright_components.contract.databases import address_variable
from runwright_components.contract.progress import silent

COLUMNS = """i AS id, i % 97 AS a, CASE WHEN i % 20 > 0 THEN i * 7 END AS b, i * 0.37::float8 AS x,
CASE WHEN i % 20 > 1 THEN sin(i) END AS y, ln(i) AS z, (i % 100000 / 100.0)::numeric(10, 2) AS price,
timestamp '2020-01-01' + i * interval '1 minute' AS moment, 'word-' || i % 1000 AS word, i % 3 = 0 AS truth"""
IN_SQLITE = """i AS id, i % 97 AS a, CASE WHEN i % 20 > 0 THEN i * 7 END AS b, i * 0.37 AS x,
CASE WHEN i % 20 > 1 THEN i * 0.11 END AS y, i / 3.0 AS z, i % 100000 / 100.0 AS price,
'2020-01-01 ' || i AS moment, 'word-' || (i % 1000) AS word, i % 3 = 0 AS truth"""


# ---------------------------------------------------------------- the sides


def ours(address: str, folder: Path, **more: object) -> None:
    dialect = "postgresql" if "://" in address else "sqlite"
    os.environ[address_variable("bench")] = address
    sql = {"dialect": dialect, "table": "bench", "path": address if dialect == "sqlite" else None, **more}
    numbers = count()
    source = Source.model_validate({"name": "bench", "uri": f"sql://{dialect}/bench", "sql": sql})
    sql_files(source, ".", scratch=lambda: folder / f"{next(numbers)}", limit=None, progress=silent())


def ours_in_parts(address: str, folder: Path) -> None:
    ours(address, folder, partition={"column": "id", "parts": 2})


def adbc(address: str, folder: Path) -> None:
    library = postgresql if "://" in address else sqlite
    with library.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM bench")
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(folder / "adbc.parquet", reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


def connectorx(address: str, folder: Path) -> None:
    import connectorx

    pq.write_table(connectorx.read_sql(address, "SELECT * FROM bench", return_type="arrow"), folder / "cx.parquet")


SIDES: dict[str, Callable[[str, Path], None]] = {
    "ours": ours,
    "ours, 2 parts": ours_in_parts,
    "ADBC": adbc,
    "ConnectorX": connectorx,
}


def measure(side: str, address: str) -> None:
    """Run one side in this process and print its figures."""
    if side == "ConnectorX":
        importlib.import_module("connectorx")  # its import is not the reading
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        SIDES[side](address, Path(folder))
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


# ---------------------------------------------------------------- side by side


def compare(address: str, sides: list[str], repeat: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(repeat):
        for side in sides:
            command = [sys.executable, __file__, "--side", side, "--address", address]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side].append(json.loads(done.stdout))
    medians = {side: statistics.median(one["seconds"] for one in figures) for side, figures in found.items()}
    return {
        side: {
            "seconds": round(medians[side], 2),
            "to_ours": round(medians[side] / medians["ours"], 2),
            "peak_mib": round(max(one["peak_mib"] for one in found[side])),
        }
        for side in sides
    }


def of_postgresql(rows: int, repeat: int) -> dict[str, dict[str, float]]:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.databases.postgres import postgres

    sides = ["ours", "ours, 2 parts", "ADBC"]
    if importlib.util.find_spec("connectorx") is not None:
        sides.append("ConnectorX")
    with postgres() as address:
        with postgresql.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE bench AS SELECT {COLUMNS} FROM generate_series(1, {rows}) AS i").close()
            connection.execute("ANALYZE bench").close()
        return compare(address, sides, repeat)


def of_sqlite(rows: int, repeat: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "bench.db"))
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE TABLE bench AS {numbers} SELECT {IN_SQLITE} FROM n")
        return compare(path, ["ours", "ADBC"], repeat)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--address", default="")
    given = parser.parse_args()
    if given.side:
        measure(given.side, given.address)
    else:
        figures = {
            "PostgreSQL": of_postgresql(given.rows, given.repeat),
            "SQLite": of_sqlite(given.rows, given.repeat),
        }
        print(json.dumps(figures, indent=2))
