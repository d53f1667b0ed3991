"""What Spark and Ray are not asked for: a name, the changes, the place, the words told."""

from typing import Any

SPARK = {"spec.data.engine": "spark"}
RAY = {"spec.data.engine": "ray"}
PODS = {"image": "ghcr.io/acme/spark:1", "claimName": "shared"}

ENGINES_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("texts on spark", SPARK | {"spec.train.task": "text-classification"}, "spec.data.engine", "have not got texts"),
    (
        "a forest on ray",
        RAY | {"spec.prepare.outliers": {"rule": "isolation", "action": "drop"}},
        "spec.prepare.outliers.rule",
        "have not got an isolation forest",
    ),
    (
        "texts alike on ray",
        RAY | {"spec.prepare.duplicatesFuzzy": {"columns": ["name"]}},
        "spec.prepare.duplicatesFuzzy",
        "have not got duplicates that nearly agree",
    ),
    (
        "the past on spark",
        SPARK
        | {
            "spec.prepare.windows": {"by": ["site"], "order": "day", "columns": ["sold"], "lags": [1]},
            "spec.prepare.split": {"strategy": "time", "by": "day"},
        },
        "spec.prepare.windows",
        "have not got columns of the rows before",
    ),
    (
        "wrong labels on spark",
        SPARK | {"spec.prepare.labelErrors": "warn"},
        "spec.prepare.labelErrors",
        "have not got the search for wrong labels",
    ),
    ("pods without an engine", {"spec.data.cluster": PODS}, "spec.data.cluster", "is for the engines spark and ray"),
    (
        "a long name on spark",
        SPARK | {"metadata.name": "a" * 36},
        "metadata.name",
        "the run's name has at most 35 characters",
    ),
]

ENGINES_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("a table on spark", SPARK | {"spec.prepare.outliers": {"rule": "iqr"}}),
    ("pods on spark", SPARK | {"spec.data.cluster": PODS | {"executors": 8, "driver": {"memory": "16Gi"}}}),
    ("a name on ray", RAY | {"metadata.name": "a" * 35}),
    ("a table on ray", RAY | {"spec.prepare.categorical": {"encode": "target"}}),
]
