"""What Spark and Ray are not asked for: a name, the changes, the place, the words told."""

from typing import Any

SPARK = {"spec.data.engine": "spark"}
RAY = {"spec.data.engine": "ray"}

ENGINES_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("texts on spark", SPARK | {"spec.train.task": "text-classification"}, "spec.data.engine", "have not got texts"),
    (
        "a forest on ray",
        RAY | {"spec.prepare.outliers": {"rule": "isolation", "action": "drop"}},
        "spec.prepare.outliers.rule",
        "have not got an isolation forest",
    ),
    (
        "wrong labels on spark",
        SPARK | {"spec.prepare.labelErrors": "warn"},
        "spec.prepare.labelErrors",
        "have not got the search for wrong labels",
    ),
]

ENGINES_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("a table on spark", SPARK | {"spec.prepare.outliers": {"rule": "iqr"}}),
    ("a table on ray", RAY | {"spec.prepare.categorical": {"encode": "target"}}),
]
