"""What splits and the features of tables ask of the rest: a name, the changes, the place, the words told."""

from typing import Any

SPLIT, SELECT = "spec.prepare.split", "spec.prepare.select"
IMAGES: dict[str, Any] = {"spec.train.task": "image-classification"}


def images(**prepare: Any) -> dict[str, Any]:
    return {**IMAGES, "spec.prepare": prepare}


def alone(**prepare: Any) -> dict[str, Any]:
    return {"spec.train.task": "tabular-clustering", "spec.prepare": prepare}


_FOR_TABLES = "are for tables"
_TARGET = "without a target"

FEATURES_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("predefined by what", {SPLIT: {"strategy": "predefined"}}, f"{SPLIT}.by", "add `by: COLUMN`"),
    (
        "shares of a predefined split",
        {SPLIT: {"strategy": "predefined", "by": "part", "seed": 3}},
        f"{SPLIT}.seed",
        "shares already",
    ),
    ("random by a column", {SPLIT: {"strategy": "random", "by": "who"}}, f"{SPLIT}.by", "hash or predefined"),
    (
        "a time split that remembers",
        {SPLIT: {"strategy": "time", "by": "day", "remember": True}},
        f"{SPLIT}.remember",
        "remembers no rows",
    ),
    (
        "folds of a digest",
        {SPLIT: {"strategy": "hash", "folds": 5}},
        f"{SPLIT}.folds",
        "folds are cut by",
    ),
    ("nested without folds", {SPLIT: {"nested": True}}, f"{SPLIT}.nested", "nested belongs to folds"),
    ("nested without a search", {SPLIT: {"folds": 5, "nested": True}}, f"{SPLIT}.nested", "add `tune`"),
    (
        "folds of own code",
        {SPLIT: {"folds": 5}, "spec.train.code": {"path": "train.py"}, "spec.train.model": None},
        f"{SPLIT}.folds",
        "built-in models",
    ),
    (
        "folds on GPUs",
        {SPLIT: {"folds": 5}, "spec.train.resources": {"gpusPerNode": 1}},
        f"{SPLIT}.folds",
        "on the CPU",
    ),
    (
        "folds on Spark",
        {SPLIT: {"folds": 5}, "spec.data.engine": "spark"},
        f"{SPLIT}.folds",
        "local engine",
    ),
    (
        "folds of a language model",
        {"spec.train": {"task": "text-generation"}, "spec.prepare": {"split": {"strategy": "random", "folds": 5}}},
        f"{SPLIT}.folds",
        "classification and regression",
    ),
    (
        "remembered documents",
        {"spec.train": {"task": "text-generation"}, "spec.prepare": {"split": {"remember": True}}},
        f"{SPLIT}.remember",
        "by their digest alone",
    ),
    (
        "order without ordinal",
        {"spec.prepare.columns": [{"name": "size", "order": ["S", "M"]}]},
        "spec.prepare.columns[0].order",
        "encode: ordinal",
    ),
    ("a part twice", {"spec.prepare.dates": {"parts": ["year", "year"]}}, "spec.prepare.dates.parts", "once"),
    ("words of images", images(tfidf={}), "spec.prepare.tfidf", _FOR_TABLES),
    ("choice among images", images(select={"keep": 3}), SELECT, _FOR_TABLES),
    ("bins of images", images(numeric={"bins": {}}), "spec.prepare.numeric.bins", _FOR_TABLES),
    ("powers of images", images(numeric={"scale": "power"}), "spec.prepare.numeric.scale", _FOR_TABLES),
    ("hashed images", images(categorical={"encode": "hashing"}), "spec.prepare.categorical.encode", _FOR_TABLES),
    (
        "encoded images",
        images(columns=[{"name": "path", "encode": "onehot"}]),
        "spec.prepare.columns[0].encode",
        _FOR_TABLES,
    ),
    ("no target to encode by", alone(categorical={"encode": "target"}), "spec.prepare.categorical.encode", _TARGET),
    (
        "no target for a column",
        alone(columns=[{"name": "city", "encode": "target"}]),
        "spec.prepare.columns[0].encode",
        _TARGET,
    ),
    ("no target to select by", alone(select={"keep": 3}), f"{SELECT}.method", "variance"),
]

FEATURES_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("digest", {SPLIT: {"strategy": "hash", "by": "customer", "train": 0.8, "validation": 0.1, "test": 0.1}}),
    ("digest of images", images(split={"strategy": "hash"})),
    ("predefined", {SPLIT: {"strategy": "predefined", "by": "part"}}),
    (
        "features",
        {
            "spec.prepare.numeric": {"scale": "power", "bins": {"columns": ["age"]}, "polynomial": {"degree": 3}},
            "spec.prepare.categorical": {"encode": "target", "smoothing": 3, "folds": 4},
            "spec.prepare.columns": [
                {"name": "size", "encode": "ordinal", "order": ["S", "M", "L"]},
                {"name": "city", "encode": "hashing"},
                {"name": "review", "type": "text"},
            ],
            "spec.prepare.dates": {"parts": ["day", "weekend"], "cyclic": False},
            "spec.prepare.tfidf": {"dimensions": 0, "words": 2},
            SELECT: {"keep": 12},
        },
    ),
    ("variance", alone(select={"method": "variance", "keep": 3})),
]

_SOURCES = [{"path": "visits.csv"}, {"path": "customers.csv", "name": "customers"}]


def joined(join: dict[str, Any]) -> dict[str, Any]:
    return {"spec.data": {"sources": _SOURCES, "joins": [{"source": "customers", **join}]}}


_JOIN = "spec.data.joins[0]"

FEATURES_USED_WELL += [
    (
        "a reference into another source",
        {
            "spec.data": {"sources": _SOURCES},
            "spec.prepare.expectations": [
                {"column": "customer", "references": {"source": "customers", "column": "id"}, "onFailure": "quarantine"}
            ],
        },
    ),
]
_PAST = {"order": "day", "columns": ["age"], "by": ["customer"]}
_BY_TIME = {"spec.prepare.split": {"strategy": "time", "by": "day"}}
FEATURES_USED_WELL += [
    (
        "windows",
        {
            **_BY_TIME,
            "spec.prepare.windows": {**_PAST, "lags": [1, 7], "rolling": [{"window": 7, "functions": ["mean", "std"]}]},
        },
    ),
]
FEATURES_BROKEN += [
    ("no window", {**_BY_TIME, "spec.prepare.windows": _PAST}, "spec.prepare.windows.lags", "lags or rolling"),
    (
        "a window twice",
        {
            **_BY_TIME,
            "spec.prepare.windows": {
                **_PAST,
                "rolling": [{"window": 3, "functions": [name]} for name in ("min", "max")],
            },
        },
        "spec.prepare.windows.rolling[1].window",
        "each window is given once",
    ),
    (
        "windows split by chance",
        {"spec.prepare.windows": {**_PAST, "lags": [1]}},
        "spec.prepare.split.strategy",
        "by time, group or predefined",
    ),
    (
        "windows of texts",
        {
            "spec.train.task": "text-classification",
            "spec.prepare": {"windows": {**_PAST, "lags": [1]}, "split": {"strategy": "time", "by": "day"}},
        },
        "spec.prepare.windows",
        "are for tables",
    ),
    ("joined to nothing", joined({"source": "persons", "by": ["id"]}), f"{_JOIN}.source", "other than the first"),
    ("half a key", joined({"left": ["id"]}), f"{_JOIN}.right", "as many columns"),
    ("two keys", joined({"by": ["id"], "left": ["a"], "right": ["b"]}), f"{_JOIN}.by", "either"),
    ("no key", joined({}), f"{_JOIN}.by", "a key or a time"),
    (
        "one to one in time",
        joined({"relation": "oneToOne", "asof": {"left": "day", "right": "since"}}),
        f"{_JOIN}.relation",
        "may be repeated",
    ),
    ("images joined", {**IMAGES, "spec.prepare": {}, **joined({"by": ["id"]})}, "spec.data.joins", "for tables"),
]

FEATURES_USED_WELL += [
    ("join by key", joined({"by": ["id"], "relation": "oneToOne"})),
    ("join as of", joined({"left": ["a"], "right": ["b"], "asof": {"left": "t", "right": "u", "tolerance": "30d"}})),
]
