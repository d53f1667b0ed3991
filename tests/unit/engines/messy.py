"""A small table with the dirt that the engines must read alike, and the configurations that they prepare it with."""

from typing import Any

import numpy as np
import polars as pl


def messy(rows: int) -> pl.DataFrame:
    """Prices with units and decimal points, dates in two notations, categories in several spellings, words that mean
    missing, identifiers, free text, and a fifth of the rows twice."""
    random = np.random.default_rng(7)
    number = random.normal(50.0, 20.0, rows)
    number[::11] = np.nan
    whole = random.integers(0, 400, rows)
    kinds = np.array(["Gull", "gull ", "Hawk", "hawk", "Duck", "DUCK", "n/a", "Goose"])
    days = pl.Series(whole).cast(pl.Int32).cast(pl.Date)
    frame = pl.DataFrame(
        {
            "id": np.arange(rows),
            "weight": number,
            "price": [f"${value:,.2f}" if value % 9 else "unknown" for value in whole * 37],
            "seen": [
                day.strftime("%Y-%m-%d") if place % 3 else day.strftime("%d %B %Y") for place, day in enumerate(days)
            ],
            "bird": kinds[random.integers(0, len(kinds), rows)],
            "site": [f"site {place % 23}" for place in range(rows)],
            "wet": random.choice(["yes", "no", "", "No"], rows),
            "remark": [f"bird {place} was seen near the runway" for place in range(rows)],
            "size": random.choice(["small", "Small", "large", "medium"], rows),
            "y": np.where(np.nan_to_num(number, nan=50.0) + random.normal(0, 9, rows) > 50, "Strike", "miss"),
        }
    )
    return pl.concat([frame, frame.gather(random.integers(0, rows, rows // 5))])


CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"target": "y", "task": "classification", "split": {"strategy": "stratified", "seed": 3}},
    "dear": {
        "target": "weight",
        "task": "regression",
        "split": {"strategy": "hash", "by": "id"},
        "duplicates": "keep",
        "duplicates_by": {"columns": ["site", "seen"], "keep": "last"},
        "columns": [
            {"name": "price", "missing": "nearest", "outliers": "clip"},
            {"name": "remark", "type": "text"},
            {"name": "bird", "encode": "target"},
            {"name": "size", "encode": "onehot"},
        ],
        "numeric": {"scale": "power"},
        "tfidf": {"vocabulary": 50, "dimensions": 4},
        "expectations": [{"column": "id", "range": {"min": 5.0}, "on_failure": "quarantine"}],
    },
    "ordered": {
        "target": "y",
        "task": "classification",
        "split": {"strategy": "time", "by": "seen"},
        "missing": {"numeric": "interpolate", "order_by": "seen"},
        "dates": {},
        "formats": {"dates": ["%d %B %Y"]},
        "outliers": {"rule": "iqr", "factor": 1.0, "action": "drop"},
    },
    "grouped": {"target": "", "task": "clustering", "split": {"strategy": "group", "by": "site"}},
}
