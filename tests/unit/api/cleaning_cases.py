"""What the cleaning of data asks of the rest: a name, the changes, the place, the words told."""

from typing import Any

TEXT = {"spec.train.task": "text-classification"}

CLEANING_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "forward without an order",
        {"spec.prepare.missing": {"numeric": "forward"}},
        "spec.prepare.missing.numeric",
        "need an order",
    ),
    (
        "a column filled without an order",
        {"spec.prepare.columns": [{"name": "a"}, {"name": "b", "missing": "interpolate"}]},
        "spec.prepare.columns[1].missing",
        "need an order",
    ),
    (
        "near duplicates of a table",
        {"spec.prepare.nearDuplicates": {}},
        "spec.prepare.nearDuplicates",
        "is for text-classification",
    ),
    (
        "a key of texts",
        TEXT | {"spec.prepare": {"duplicatesBy": {"columns": ["id"]}}},
        "spec.prepare.duplicatesBy",
        "is for tables",
    ),
    (
        "fuzzy rows of texts",
        TEXT | {"spec.prepare": {"duplicatesFuzzy": {"columns": ["name"]}}},
        "spec.prepare.duplicatesFuzzy",
        "is for tables",
    ),
    (
        "isolated rows that are clipped",
        {"spec.prepare.outliers": {"rule": "isolation"}},
        "spec.prepare.outliers.action",
        "can only be dropped",
    ),
    ("leaks of texts", TEXT | {"spec.prepare": {"leakage": "fail"}}, "spec.prepare.leakage", "is for tables"),
    ("hashes without a key", {"spec.prepare.pii": {"action": "hash"}}, "spec.prepare.pii.salt", "belong together"),
    ("a key of no hash", {"spec.prepare.pii": {"salt": "a long text"}}, "spec.prepare.pii.salt", "belong together"),
    (
        "a kind twice",
        {"spec.prepare.pii": {"kinds": ["email", "email"]}},
        "spec.prepare.pii.kinds",
        "given once",
    ),
    (
        "masked pictures",
        {"spec.train.task": "image-classification", "spec.prepare": {"pii": {"action": "mask"}}},
        "spec.prepare.pii.action",
        "is for tables, texts and series",
    ),
    (
        "wrong labels of numbers",
        {"spec.train.task": "tabular-regression", "spec.prepare.labelErrors": "warn"},
        "spec.prepare.labelErrors",
        "is for tabular-classification",
    ),
]

CLEANING_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("nearest", {"spec.prepare.missing": {"numeric": "nearest", "neighbours": 3, "sample": 500}}),
    ("forward by a column", {"spec.prepare.missing": {"numeric": "forward", "orderBy": "day"}}),
    (
        "interpolated along a split by time",
        {
            "spec.prepare.columns": [{"name": "b", "missing": "interpolate"}],
            "spec.prepare.split": {"strategy": "time", "by": "day"},
        },
    ),
    ("a key", {"spec.prepare.duplicatesBy": {"columns": ["id"], "keep": "last"}}),
    ("fuzzy rows", {"spec.prepare.duplicatesFuzzy": {"columns": ["name", "street"], "same": ["zip"]}}),
    ("leaks and labels", {"spec.prepare.leakage": "drop", "spec.prepare.labelErrors": "warn"}),
    ("masks", {"spec.prepare.pii": {"action": "mask", "kinds": ["email", "phone"], "columns": ["note"]}}),
    ("hashes", {"spec.prepare.pii": {"action": "hash", "salt": "a text of some length"}}),
    ("isolation", {"spec.prepare.outliers": {"rule": "isolation", "action": "drop", "share": 0.02}}),
    ("typos", {"spec.prepare.categorical": {"typos": "merge"}}),
    ("near texts", TEXT | {"spec.prepare": {"nearDuplicates": {"similarity": 0.9, "unit": "characters"}}}),
]
