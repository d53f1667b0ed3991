"""What an expectation must say of itself: a name, the changes, the place, the words told."""

from typing import Any


def expects(*expectations: dict[str, Any]) -> dict[str, Any]:
    return {"spec.prepare.expectations": list(expectations)}


PLACE = "spec.prepare.expectations[0]"
AGES = {"column": "age", "range": {"min": 0, "max": 120}}

EXPECTATIONS_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("nothing expected", expects({"onFailure": "warn"}), PLACE, "exactly one of type, range"),
    ("two things expected", expects({**AGES, "matches": "1"}), f"{PLACE}.matches", "several rules are several"),
    ("a range of no column", expects({"range": {"min": 0}}), f"{PLACE}.column", "have a column"),
    ("a key with a column", expects({"column": "id", "unique": ["id"]}), f"{PLACE}.column", "the others have none"),
    ("rows in quarantine", expects({"minRows": 9, "onFailure": "quarantine"}), f"{PLACE}.onFailure", "minRows"),
    ("a share of rows", expects({"minRows": 9, "maxShare": 0.1}), f"{PLACE}.maxShare", "no share"),
    ("a range of nothing", expects({"column": "age", "range": {}}), f"{PLACE}.range", "min: 0, max: 120"),
    (
        "numbers and dates",
        expects({"column": "age", "range": {"min": 0, "latest": "2024-01-01"}}),
        f"{PLACE}.range",
        "of numbers",
    ),
    ("an empty range", expects({"column": "age", "range": {"min": 2, "max": 1}}), f"{PLACE}.range.max", "not empty"),
    (
        "an empty range of dates",
        expects({"column": "day", "range": {"earliest": "2024-02-01", "latest": "2024-01-01"}}),
        f"{PLACE}.range.latest",
        "exchange",
    ),
    (
        "a date of another notation",
        expects({"column": "day", "range": {"latest": "31.1.2024"}}),
        f"{PLACE}.range.latest",
        "ISO 8601",
    ),
    (
        "a source that is not there",
        expects({"column": "id", "references": {"source": "people", "column": "id"}}),
        f"{PLACE}.references.source",
        "other than the first",
    ),
    ("a look-ahead", expects({"column": "id", "matches": "(?=a)"}), f"{PLACE}.matches", "look-around"),
    (
        "names of expectations",
        expects({**AGES, "name": "ages"}, {**AGES, "name": "ages"}),
        "spec.prepare.expectations[1].name",
        "unique",
    ),
]

EXPECTATIONS_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    (
        "every kind of expectation",
        expects(
            {**AGES, "name": "ages", "onFailure": "quarantine", "maxShare": 0.01},
            {"column": "age", "type": "numeric"},
            {"column": "day", "range": {"earliest": "2020-01-01", "latest": "2024-01-31T12:00"}},
            {"column": "island", "oneOf": ["Biscoe", 2, 2.5, True]},
            {"column": "code", "matches": r"[A-Z]{2}-\d+", "onFailure": "warn"},
            {"column": "age", "notNull": True},
            {"unique": ["id", "day"]},
            {"compare": {"left": "start", "op": "<=", "right": "end"}},
            {"minRows": 100},
        ),
    ),
]
