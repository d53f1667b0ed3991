"""How much of a table's dirt is found and mended: the prepare stage against skrub, side by side.

    python -m venv /tmp/skrub && /tmp/skrub/bin/pip install skrub==0.11.0
    python tests/bench/bench_cleaning.py --skrub /tmp/skrub/bin/python

Two clean real tables (bird strikes of the examples; breast cancer of scikit-learn) get known errors, each kind in a
column of its own: letters inserted, left out, replaced or swapped; case and white space; dates in three notations;
decimal commas; units; words for missing values; a factor of ten; repeated rows, half of them in other spelling.
Ours reads every cell by what prepare fitted on the training split. Beside it stands skrub: its Cleaner, `deduplicate`
for the categories, then `drop_duplicates` of pandas and, for the factor of ten, scikit-learn's isolation forest.

Prints for each kind the errors, and of each side the share that was found (mended, or told to be wrong) and mended, and
the false repairs: the share of right cells that were read as something else.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
BIRDS, CANCER = "birds", "cancer"
TARGETS = {BIRDS: "Effect__Amount_of_damage", CANCER: "diagnosis"}
Value = float | str | None
Table = dict[str, list[Any]]


# ---------------------------------------------------------------- errors


@dataclass(frozen=True)
class Dirt:
    """Errors of one kind in one column: what each row should be read as, and which rows are wrong."""

    kind: str
    table: str
    column: str
    truth: list[Value]
    wrong: list[bool]


def misspelled(word: str, chance: random.Random) -> str:
    at, letter = chance.randrange(1, len(word) - 1), chance.choice("abcdefghijklmnopqrstuvwxyz")
    return chance.choice(
        [
            word[:at] + letter + word[at:],
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )


def spaced(word: str, chance: random.Random) -> str:
    return chance.choice([word.swapcase(), f"  {word}", word.replace(" ", "  ") + " ", word.lower().title() + " "])


def dated(text: str, chance: random.Random) -> str:
    return date.fromisoformat(text).strftime(chance.choice(["%d.%m.%Y", "%b %d, %Y"]))


ERRORS: list[tuple[str, str, str, float, Callable[[str, random.Random], str]]] = [
    ("typos", BIRDS, "Airport__Name", 0.05, misspelled),
    ("typos", BIRDS, "Wildlife__Species", 0.05, misspelled),
    ("case and white space", BIRDS, "Aircraft__Airline_Operator", 0.10, spaced),
    ("mixed dates", BIRDS, "Flight_Date", 0.10, dated),
    ("words for missing", BIRDS, "When__Phase_of_flight", 0.05, lambda _, c: c.choice(["n/a", "?", "-", "NULL"])),
    ("decimal commas", CANCER, "mean radius", 0.10, lambda text, _: text.replace(".", ",")),
    ("units", CANCER, "mean texture", 0.10, lambda text, _: f"{text} mm"),
    ("words for missing", CANCER, "mean area", 0.05, lambda _, c: c.choice(["n/a", "?", "-", "NULL"])),
    ("a factor of ten", CANCER, "mean perimeter", 0.02, lambda text, _: f"{float(text) * 10:g}"),
]


def spoil(tables: dict[str, Table]) -> list[Dirt]:
    """Put the errors into the tables, in place."""
    chance, found = random.Random(7), []
    for kind, table, column, share, change in ERRORS:
        cells = tables[table][column]
        wrong = [chance.random() < share and len(cell) > 3 for cell in cells]
        dirty = [change(cell, chance) if bad else cell for cell, bad in zip(cells, wrong, strict=True)]
        wrong = [before != after for before, after in zip(cells, dirty, strict=True)]
        missing = kind == "words for missing"
        truth = [None if missing and bad else meant(cell) for cell, bad in zip(cells, wrong, strict=True)]
        tables[table][column] = dirty
        found.append(Dirt(kind, table, column, truth, wrong))
    return found


def repeat(table: Table, share: float) -> int:
    """Append some of the rows again, half of them with a word in other spelling; gives their number."""
    chance, rows = random.Random(8), len(table["Flight_Date"])
    again = sorted(chance.sample(range(rows), int(rows * share)))
    for name, cells in table.items():
        cells += [cells[row] for row in again]
        if name == "Origin_State":
            cells[-len(again) // 2 :] = [f" {cell.upper()}" for cell in cells[-len(again) // 2 :]]
    return len(again)


def meant(text: str) -> Value:
    """A number where it is one, the days since 1970 of a date, else the text."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float((date.fromisoformat(text) - date(1970, 1, 1)).days)
    except ValueError:
        return text


def clean_tables() -> dict[str, Table]:
    import polars as pl

    birds = pl.read_csv(EXAMPLES / "birdstrikes/data/birdstrikes.csv", infer_schema=False).drop_nulls().unique()
    day = pl.col("Flight_Date").str.split(" ").list.first().str.to_date("%m/%d/%y")
    birds = birds.with_columns(day.cast(pl.String)).unique(maintain_order=True).sort(pl.all())
    cancer = pl.read_csv(EXAMPLES / "tumours/data/tumours.csv", infer_schema=False)
    return {BIRDS: birds.to_dict(as_series=False), CANCER: cancer.to_dict(as_series=False)}


# ---------------------------------------------------------------- the sides: what each cell is read as


def ours(table: Mapping[str, list[str]], name: str) -> dict[str, Any]:
    import numpy as np
    import polars as pl

    from runwright_components.contract.artifacts import ROW_ID, Lineage, RawManifest
    from runwright_components.contract.config import PrepareConfig
    from runwright_components.contract.progress import silent
    from runwright_components.features.tabular import TabularPreprocessing
    from runwright_components.prepare import prepare

    frame = pl.DataFrame(table)
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder, "raw"), Path(folder, "out")
        raw.mkdir()
        frame.write_parquet(raw / "rows.parquet")
        RawManifest(
            digest="sha256:bench",
            rows=len(frame),
            columns={column: str(kind) for column, kind in frame.schema.items()},
            sources=(),
            files=("rows.parquet",),
            lineage=Lineage(stage="collect", config="", inputs={}),
        ).write(raw)
        config = PrepareConfig.model_validate(
            {
                "modality": "tabular",
                "task": "classification",
                "target": TARGETS[name],
                "categorical": {"typos": "merge"},
                "outliers": {"rule": "iqr", "action": "missing"} if name == CANCER else {},
            }
        )
        prepare(config, raw=raw, out=out, progress=silent("prepare"))
        splits = [
            pl.read_parquet(out / f"{split}.parquet", columns=[ROW_ID]) for split in ("train", "validation", "test")
        ]
        kept = set(pl.concat(splits).to_series().to_list())
        reading = TabularPreprocessing.read(out / "preprocessing")
    numbers, codes = reading.read_rows(frame)
    for item in reading.state.numeric:
        if item.outliers == "missing":
            values = numbers[item.column]
            outlying = (values < item.low) | (values > item.high)
            numbers[item.column] = np.where(outlying, np.nan, values)
    cells: dict[str, list[Value]] = {}
    for column, values in numbers.items():
        days = 86_400 * 1_000_000 if column == "Flight_Date" else 1
        cells[column] = [None if not np.isfinite(value) else float(value) / days for value in values]
    for column, read in codes.items():
        keys = reading.texts_of(column, frame[column])
        cells[column] = [
            None if key is None else f"code {code}" if code else key for key, code in zip(keys, read, strict=True)
        ]
    left = {column: list(texts) for column, texts in table.items() if column not in cells}
    return {"cells": {**left, **cells}, "dropped": [row not in kept for row in range(len(frame))]}


def skrub(table: Mapping[str, list[str]], name: str) -> dict[str, Any]:
    import pandas as pd
    from sklearn.ensemble import IsolationForest
    from skrub import Cleaner, deduplicate

    frame = Cleaner(parse_numbers=True).fit_transform(pd.DataFrame(table))
    cells: dict[str, list[Value]] = {}
    for column in frame.columns:
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values):
            cells[column] = [None if pd.isna(value) else float(value) for value in values]
        elif pd.api.types.is_datetime64_any_dtype(values):
            cells[column] = [None if pd.isna(value) else value.timestamp() / 86_400 for value in values]
        else:
            mended = dict.fromkeys(values.dropna())
            if 4 < len(mended) < 3000 and column not in ("Flight_Date",):
                words = values.dropna().astype(str).tolist()
                mended = dict(zip(words, deduplicate(words).tolist(), strict=True))
            cells[column] = [None if pd.isna(value) else str(mended.get(str(value)) or value) for value in values]
    if name == CANCER:
        column = "mean perimeter"
        known = frame[[column]].astype(float)
        odd = IsolationForest(contamination=0.02, random_state=0).fit_predict(known.fillna(known.median())) < 0
        cells[column] = [None if bad else value for bad, value in zip(odd, cells[column], strict=True)]
    return {"cells": cells, "dropped": pd.DataFrame(cells).duplicated().tolist()}


SIDES: dict[str, Callable[[Mapping[str, list[str]], str], dict[str, Any]]] = {"ours": ours, "skrub": skrub}


# ---------------------------------------------------------------- the judge


def judged(dirt: Dirt, read: Sequence[Value]) -> dict[str, float]:
    """Shares of the errors found and mended, and of the right cells read as something else."""
    same = _same_words(dirt, read) if any(isinstance(value, str) for value in dirt.truth) else _same_numbers(dirt, read)
    right = [good for good, bad in zip(same, dirt.wrong, strict=True) if not bad]
    errors = [(good, value) for good, value, bad in zip(same, read, dirt.wrong, strict=True) if bad]
    mended = sum(good for good, _ in errors)
    found = sum(good or value is None for good, value in errors)
    return {
        "errors": len(errors),
        "found": round(found / len(errors), 3),
        "mended": round(mended / len(errors), 3),
        "false": round(1 - sum(right) / len(right), 4),
    }


def _same_numbers(dirt: Dirt, read: Sequence[Value]) -> list[bool]:
    def near(wanted: Value, value: Value) -> bool:
        if not isinstance(wanted, float) or not isinstance(value, float):
            return wanted is None and value is None
        return abs(value - wanted) <= 1e-5 * max(1.0, abs(wanted))

    return [near(wanted, value) for wanted, value in zip(dirt.truth, read, strict=True)]


def _same_words(dirt: Dirt, read: Sequence[Value]) -> list[bool]:
    """A word is read right when it is read as most of the same word's right cells are, and no commoner word is."""
    counts: dict[Value, Counter[Value]] = {}
    for wanted, value, bad in zip(dirt.truth, read, dirt.wrong, strict=True):
        if not bad:
            counts.setdefault(wanted, Counter())[value] += 1
    labels: dict[Value, Value] = {}
    for wanted in sorted(counts, key=lambda word: -counts[word].total()):
        label = counts[wanted].most_common(1)[0][0]
        if label is not None and label not in labels.values():
            labels[wanted] = label
    return [
        value is None if wanted is None else wanted in labels and value == labels[wanted]
        for wanted, value in zip(dirt.truth, read, strict=True)
    ]


def main(interpreters: Mapping[str, str]) -> None:
    tables = clean_tables()
    dirt = spoil(tables)
    rows = len(tables[BIRDS]["Flight_Date"])
    again = repeat(tables[BIRDS], 0.02)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "tables.json")
        given.write_text(json.dumps(tables), encoding="utf-8")
        for side, interpreter in interpreters.items():
            command = [interpreter, __file__, "--side", side, "--tables", str(given)]
            found[side] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    print("| errors | column | number | " + " | ".join(f"{side}: found, mended, false" for side in found) + " |")
    for each in dirt:
        shares = {
            side: judged(each, tables_[each.table]["cells"][each.column][: len(each.truth)])
            for side, tables_ in found.items()
        }
        cells = [f"{one['found']:.1%}, {one['mended']:.1%}, {one['false']:.2%}" for one in shares.values()]
        print(f"| {each.kind} | {each.column} | {shares['ours']['errors']} | {' | '.join(cells)} |")
    cells = []
    for read in found.values():
        dropped = read[BIRDS]["dropped"]
        cells.append(f"{sum(dropped[rows:]) / again:.1%}, , {sum(dropped[:rows]) / rows:.2%}")
    print(f"| repeated rows | | {again} | {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skrub", default=sys.executable, help="a Python that has skrub")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--tables", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        loaded = json.loads(asked.tables.read_text(encoding="utf-8"))
        print(json.dumps({name: SIDES[asked.side](table, name) for name, table in loaded.items()}))
    else:
        main({"ours": sys.executable, "skrub": asked.skrub})
