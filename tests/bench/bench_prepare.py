"""Preparing a generated table, by the prepare stage and by hand-written Polars for the same work, side by side.

    python tests/bench/bench_prepare.py --rows 10000000
    python tests/bench/bench_prepare.py --rows 2000000 --pandas    # and hand-written pandas, where it is installed

The table: 8 numeric columns with 5 % missing, 4 categorical ones of 5 to 1000 values, a date, a target of 3 classes,
1 % duplicate rows. The work: drop duplicates, split at random, fill with the training median, standardize, code the
categories, take the date apart, write three Parquet files and the raw test rows (evaluation reads those). The stage
also fits and writes the report of quality. Each side runs in a process of its own. Prints JSON: seconds, rows a second,
peak memory, and the ratios of the rows a second.
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

import numpy as np
import polars as pl

NUMERIC = [f"x{i}" for i in range(8)]
CATEGORICAL = {"s0": 5, "s1": 20, "s2": 100, "s3": 1000}
SEED = 7


def generate(folder: Path, rows: int) -> None:
    """Write the raw data in chunks, so that the parent's memory stays small."""
    from runwright_components.contract.artifacts import Lineage, RawManifest

    random = np.random.default_rng(SEED)
    folder.mkdir(parents=True)
    files, chunk, left, part, first = [], 1_000_000, rows, 0, None
    duplicates = rows // 100
    while left > 0:
        size = min(chunk, left)
        data: dict[str, pl.Series] = {}
        for i, name in enumerate(NUMERIC):
            values = random.normal(i, 1 + i, size)
            values[random.random(size) < 0.05] = np.nan
            data[name] = pl.Series(values).fill_nan(None)
        for name, count in CATEGORICAL.items():
            words = pl.Series([f"{name}-{i:04d}" for i in range(count)])
            data[name] = words.gather(pl.Series(random.integers(0, count, size)))
        data["when"] = pl.Series(random.integers(1_500_000_000, 1_700_000_000, size) * 1_000_000).cast(
            pl.Datetime("us")
        )
        data["y"] = pl.Series(random.integers(0, 3, size))
        frame = pl.DataFrame(data)
        first = frame if first is None else first
        if left <= chunk:
            again = min(duplicates, size // 2)
            frame = pl.concat([frame.head(size - again), first.head(again)])
        name = f"part-{part:03d}.parquet"
        frame.write_parquet(folder / name)
        files.append(name)
        left, part = left - size, part + 1
    assert first is not None
    RawManifest(
        digest=f"sha256:{rows}",
        rows=rows,
        columns={name: str(dtype) for name, dtype in first.schema.items()},
        sources=(),
        files=tuple(files),
        lineage=Lineage(stage="collect", config="", inputs={}),
    ).write(folder)


def ours(raw: Path, out: Path) -> None:
    from runwright_components.contract.config import MissingRules, PrepareConfig, SplitRules
    from runwright_components.contract.progress import silent
    from runwright_components.prepare import prepare

    config = PrepareConfig(
        modality="tabular",
        task="classification",
        target="y",
        missing=MissingRules(indicator=False),
        split=SplitRules(strategy="random", seed=SEED),
    )
    prepare(config, raw=raw, out=out, progress=silent("prepare"))


def by_hand(raw: Path, out: Path) -> None:
    out.mkdir(parents=True)
    table = pl.scan_parquet(raw / "*.parquet")
    columns = table.collect_schema().names()
    share = pl.col("row_id").hash(SEED) / 2.0**64
    split = pl.when(share < 0.7).then(0).when(share < 0.85).then(1).otherwise(2).cast(pl.UInt8)
    frame = (
        table.with_row_index("row_id")
        .unique(subset=columns, keep="first", maintain_order=True)
        .with_columns(split=split)
        .collect(engine="streaming")
    )
    train = frame.lazy().filter(pl.col("split") == 0)
    medians = train.select(pl.col(NUMERIC).median()).collect(engine="streaming").row(0, named=True)
    filled = [pl.col(name).fill_null(medians[name]) for name in NUMERIC]
    days = pl.col("when").dt.timestamp("us") / 86_400_000_000
    year = pl.col("when").dt.year().cast(pl.Float64)
    measured = [*filled, days.alias("when.days"), year.alias("when.year")]
    moments = (
        train.select(
            *[m.mean().name.suffix(":mean") for m in measured], *[m.std(ddof=0).name.suffix(":std") for m in measured]
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    encoded = []
    for values, name in zip(measured, [*NUMERIC, "when.days", "when.year"], strict=True):
        scaled = (values - moments[f"{name}:mean"]) / moments[f"{name}:std"]
        encoded.append(scaled.cast(pl.Float32).alias(f"n:{name}"))
    for part, steps in (
        (pl.col("when").dt.month() - 1, 12),
        (pl.col("when").dt.weekday() - 1, 7),
        (pl.col("when").dt.hour(), 24),
    ):
        angle = part.cast(pl.Float64) * (2 * np.pi / steps)
        encoded += [
            angle.sin().cast(pl.Float32).alias(f"n:sin{steps}"),
            angle.cos().cast(pl.Float32).alias(f"n:cos{steps}"),
        ]
    for name in CATEGORICAL:
        keys = train.select(pl.col(name).unique().sort()).collect(engine="streaming").to_series()
        codes = pl.col(name).cast(pl.Enum(keys), strict=False).to_physical().cast(pl.Int32) + 1
        encoded.append(codes.fill_null(0).alias(f"c:{name}"))
    target = pl.col("y").cast(pl.Int32).alias("target")
    for code, name in enumerate(("train", "validation", "test")):
        chosen = frame.lazy().filter(pl.col("split") == code)
        chosen.select("row_id", *encoded, target).sink_parquet(out / f"{name}.parquet", compression="lz4")
    test = frame.lazy().filter(pl.col("split") == 2).select("row_id", *columns)
    test.sink_parquet(out / "test.raw.parquet", compression="lz4")


def with_pandas(raw: Path, out: Path) -> None:
    import pandas as pd

    out.mkdir(parents=True)
    table = pd.concat([pd.read_parquet(file) for file in sorted(raw.glob("*.parquet"))], ignore_index=True)
    columns = list(table.columns)
    table.insert(0, "row_id", np.arange(len(table), dtype=np.uint32))
    frame = table.drop_duplicates(subset=columns)
    share = np.random.default_rng(SEED).random(len(frame))
    splits = np.select([share < 0.7, share < 0.85], [0, 1], 2)
    train = frame[splits == 0]
    filled = frame[NUMERIC].fillna(train[NUMERIC].median())
    filled["when.days"] = frame["when"].astype("int64") / 86_400_000_000
    filled["when.year"] = frame["when"].dt.year.astype("float64")
    fitted = filled[splits == 0]
    encoded = ((filled - fitted.mean()) / fitted.std(ddof=0)).astype("float32").add_prefix("n:")
    when = frame["when"].dt
    for part, steps in ((when.month - 1, 12), (when.weekday, 7), (when.hour, 24)):
        angle = part * (2 * np.pi / steps)
        encoded[f"n:sin{steps}"] = np.sin(angle).astype("float32")
        encoded[f"n:cos{steps}"] = np.cos(angle).astype("float32")
    for name in CATEGORICAL:
        keys = np.sort(train[name].unique())
        encoded[f"c:{name}"] = pd.Categorical(frame[name], categories=keys).codes.astype("int32") + 1
    encoded.insert(0, "row_id", frame["row_id"])
    encoded["target"] = frame["y"].astype("int32")
    for code, name in enumerate(("train", "validation", "test")):
        encoded[splits == code].to_parquet(out / f"{name}.parquet", compression="lz4", index=False)
    frame[splits == 2].to_parquet(out / "test.raw.parquet", compression="lz4", index=False)


SIDES = {"ours": ours, "by_hand": by_hand, "pandas": with_pandas}


def measure(side: str, raw: Path, out: Path) -> dict[str, float]:
    shutil.rmtree(out, ignore_errors=True)
    finished = subprocess.run(
        [sys.executable, __file__, "--side", side, "--raw", str(raw), "--out", str(out)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, float] = json.loads(finished.stdout)
    return result


def run_side(side: str, raw: Path, out: Path) -> None:
    if side == "ours":
        import runwright_components.prepare.tabular  # noqa: F401 (imports are no work)
    if side == "pandas":
        import pandas  # noqa: F401
    started = time.perf_counter()
    SIDES[side](raw, out)
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_gb": usage.ru_maxrss * 1024 / 1e9,
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=1, help="the best of so many runs counts, sides by turns")
    parser.add_argument("--pandas", action="store_true", help="hand-written pandas, too")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        run_side(given.side, given.raw, given.out)
        return
    with tempfile.TemporaryDirectory() as temporary:
        raw, out = Path(temporary) / "raw", Path(temporary) / "out"
        generate(raw, given.rows)
        runs: dict[str, list[dict[str, float]]] = {"by_hand": [], "ours": []}
        if given.pandas:
            runs["pandas"] = []
        for _ in range(given.repeat):
            for side, results in runs.items():
                results.append(measure(side, raw, out))
    best = {side: min(results, key=lambda result: result["seconds"]) for side, results in runs.items()}
    for result in best.values():
        result["rows_per_second"] = round(given.rows / result["seconds"])
    ratios = {
        f"ratio_to_{side}": round(best["ours"]["rows_per_second"] / result["rows_per_second"], 3)
        for side, result in best.items()
        if side != "ours"
    }
    print(json.dumps({"rows": given.rows, **best, **ratios}, indent=2))


if __name__ == "__main__":
    main()
