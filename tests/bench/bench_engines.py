"""Preparing one generated table on each engine of this machine, in turn.

    python tests/bench/bench_engines.py --rows 2000000 --rounds 2

The table and the work are those of bench_prepare.py. Each engine prepares in a process of its own, which begins and
ends its session. Prints JSON: per engine the seconds of each round, how many of them the session took to begin, and
the driver's peak memory; and whether the digests of the prepared data agree.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_prepare import generate

ENGINES = ("local", "spark", "ray")


def prepare_on(engine: Any, raw: Path, out: Path) -> dict[str, Any]:
    from runwright_components.contract.config import PrepareConfig
    from runwright_components.contract.progress import silent
    from runwright_components.engines import engine_for
    from runwright_components.prepare import prepare

    config = PrepareConfig(modality="tabular", task="classification", target="y", engine=engine)
    start = time.perf_counter()
    with engine_for(engine):
        begun = time.perf_counter()
        manifest = prepare(config, raw=raw, out=out, progress=silent())
        done = time.perf_counter()
    return {
        "seconds": round(done - start, 1),
        "to_begin": round(begun - start, 1),
        "driver_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "digest": manifest.digest,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)  # of a child
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        told = prepare_on(given.engine, given.folder / "raw", given.folder / "out")
        (given.folder / "told.json").write_text(json.dumps(told))
        return
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        generate(folder / "raw", given.rows)
        for engine in ENGINES * given.rounds:
            child = [sys.executable, __file__, "--engine", engine, "--folder", scratch]
            subprocess.run(child, check=True, stdout=subprocess.DEVNULL)
            found[engine].append(json.loads((folder / "told.json").read_text()))
            shutil.rmtree(folder / "out")
    digests = {told.pop("digest") for rounds in found.values() for told in rounds}
    print(json.dumps({"rows": given.rows, "agree": len(digests) == 1, **found}, indent=1))


if __name__ == "__main__":
    main()
