"""What the fields of sources, joins, expectations and cleaning need beside them, and values that no schema tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = dict[str, Any]


def _source(**fields: Any) -> Spec:
    return {"data": {"sources": [fields]}}


def _sql(**fields: Any) -> Spec:
    return _source(sql={"dialect": "postgresql", "secretRef": {"name": "database"}, **fields})


def _kafka(**fields: Any) -> Spec:
    return _source(kafka={"bootstrap": "kafka.example.com:9092", "topic": "orders", **fields})


def _logs(**fields: Any) -> Spec:
    return _source(logs=fields)


def _expecting(**fields: Any) -> Spec:
    return {"prepare": {"expectations": [fields]}}


def _several_sources(**fields: Any) -> Spec:
    sources = [
        {"name": name, "http": {"url": f"https://data.example.com/{name}.csv"}}
        for name in ("first", "second", "third", "last")
    ]
    return {"data": {"sources": sources, **fields}}


def _looking_up(**reference: Any) -> Spec:
    return {**_several_sources(), **_expecting(column="alpha", references=reference)}


def _looking_back(**windows: Any) -> Spec:
    past = {"order": "day", "columns": ["amount"], **windows}
    return {"prepare": {"split": {"strategy": "time", "by": "day"}, "windows": past}}


def _join(**fields: Any) -> Spec:
    return _several_sources(joins=[{"source": "second", **fields}])


def _feedback(**fields: Any) -> Spec:
    labels = [
        {"name": name, "http": {"url": f"https://data.example.com/{name}.csv"}} for name in ("alpha", "beta", "gamma")
    ]
    told = {"predictions": {"s3": {"uri": "s3://logs/app/"}}, "labels": "alpha", "label": "species", **fields}
    return {"data": {"sources": [{"feedback": told}, *labels]}}


_LOGS_IN_S3 = {"uri": "s3://logs/app/"}
_EXPECTATION = {"column": "alpha", "type": "numeric"}

_PODS = {"image": "registry.example/runwright-spark:1", "claimName": "shared"}


def _pods_without(field: str) -> Spec:
    return {"data": {"engine": "spark", "cluster": {name: value for name, value in _PODS.items() if name != field}}}


BESIDE: Mapping[str, Spec] = {
    "spec.data.engine": {"data": {"cluster": _PODS}},
    "spec.data.cluster": {"data": {"engine": "spark", "cluster": _PODS}},
    "spec.data.cluster.image": _pods_without("image"),
    "spec.data.cluster.claimName": _pods_without("claimName"),
    **{
        f"spec.data.sources[].{place}": _source()
        for place in ("path", "s3", "gcs", "azure", "huggingFace", "pvc", "synthetic")
    },
    "spec.data.sources[].delta": _source(s3={"uri": "s3://lake/table/"}, format="delta"),
    "spec.data.sources[].iceberg": _source(s3={"uri": "s3://lake/table/"}, format="iceberg"),
    "spec.data.sources[].sql": _sql(table="orders"),
    "spec.data.sources[].incremental": _source(s3={"uri": "s3://lake/days/"}),
    "spec.data.sources[].incremental.cursor": _sql(table="orders"),
    "spec.data.sources[].sql.query": _sql(),
    "spec.data.sources[].sql.table": _sql(),
    "spec.data.sources[].sql.path": _source(sql={"dialect": "sqlite", "table": "orders"}),
    "spec.data.sources[].kafka": _kafka(),
    "spec.data.sources[].kafka.columns": _kafka(valueFormat="csv"),
    "spec.data.sources[].kafka.secretRef": _kafka(tls=True),
    "spec.data.sources[].logs": _logs(s3=_LOGS_IN_S3, layout="combined"),
    "spec.data.sources[].logs.path": _logs(layout="combined"),
    "spec.data.sources[].logs.layout": _logs(s3=_LOGS_IN_S3),
    "spec.data.sources[].logs.pattern": _logs(s3=_LOGS_IN_S3),
    "spec.data.sources[].logs.grok": _logs(s3=_LOGS_IN_S3),
    "spec.data.sources[].feedback": _feedback(),
    "spec.data.sources[].feedback.predictions.path": _feedback(predictions={}),
    "spec.data.sources[].feedback.time": _feedback(within="30d"),
    "spec.data.sources[].feedback.within": _feedback(time="known"),
    "spec.data.joins[]": _join(by=["id"]),
    "spec.data.joins[].by": _join(),
    "spec.data.joins[].left": _join(right=["key"]),
    "spec.data.joins[].right": _join(left=["key"]),
    "spec.data.joins[].asof": _join(),
    "spec.prepare.columns[].order": {"prepare": {"columns": [{"name": "alpha", "encode": "ordinal"}]}},
    "spec.prepare.expectations[]": _expecting(**_EXPECTATION),
    "spec.prepare.expectations[].column": _expecting(type="numeric"),
    "spec.prepare.expectations[].unique": _expecting(),
    "spec.prepare.expectations[].compare": _expecting(),
    "spec.prepare.expectations[].minRows": _expecting(),
    **{
        f"spec.prepare.expectations[].{predicate}": _expecting(column="alpha")
        for predicate in ("range", "oneOf", "matches", "notNull")
    },
    "spec.prepare.expectations[].references": _looking_up(),
    "spec.prepare.expectations[].references.source": _looking_up(column="id"),
    "spec.prepare.expectations[].references.column": _looking_up(source="second"),
    "spec.prepare.pii.salt": {"prepare": {"pii": {"action": "hash"}}},
    "spec.prepare.windows": _looking_back(lags=[1]),
    "spec.prepare.windows.lags": _looking_back(rolling=[{"window": 3, "functions": ["mean"]}]),
    "spec.prepare.windows.rolling[]": _looking_back(lags=[1]),
    "spec.prepare.nearDuplicates": {"train": {"task": "text-classification"}},
}

VALUES: Mapping[str, tuple[tuple[Any, Spec], ...]] = {
    "spec.data.sources[].logs.pattern": ((r"(?P<word>\w+)", {}), (r"(?P<number>\d+)", {})),
    "spec.data.sources[].logs.grok": (("%{WORD:word}", {}), ("%{NUMBER:number}", {})),
    "spec.data.sources[].kafka.valueFormat": (("json", {}), ("text", {})),
    "spec.data.sources[].feedback.labels": (("beta", {}), ("gamma", {})),
    "spec.data.joins[].source": (("third", {}), ("last", {})),
    "spec.prepare.expectations[].oneOf[]": ((["red"], {}), (["green"], {})),
    "spec.prepare.expectations[].references.source": (("third", {}), ("last", {})),
    "spec.prepare.pii.action": (("mask", {}), ("drop", {})),
    "spec.prepare.expectations[].notNull": ((True, {}), (False, _expecting(**_EXPECTATION))),
    "spec.prepare.expectations[].range.earliest": (("2020-01-31", {}), ("2021-01-31", {})),
    "spec.prepare.expectations[].range.latest": (("2020-01-31", {}), ("2021-01-31", {})),
}
