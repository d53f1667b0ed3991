"""What sources must say of themselves: a name, the changes, the place, the words told."""

from typing import Any


def source(**places: Any) -> dict[str, Any]:
    return {"spec.data": {"sources": [places]}}


def feedback(source: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    told = {"predictions": {"path": "log"}, "labels": "labels", "key": "order", "label": "species", **changes}
    return {"spec.data": {"sources": [{"feedback": told, **(source or {})}, {"name": "labels", "path": "labels.csv"}]}}


PLACE = "spec.data.sources[0]"
LOGS = {"path": "logs", "layout": "common"}
SERVER = {"dialect": "postgresql", "table": "orders"}
FILE = {"dialect": "duckdb", "table": "orders", "path": "shop.db"}

TOPIC = {"bootstrap": "kafka:9092", "topic": "orders"}


def offsets(offset: int, *partitions: int) -> dict[str, Any]:
    return {"offsets": [{"partition": partition, "offset": offset} for partition in partitions]}


FILES_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("logs nowhere", source(logs={"layout": "common"}), f"{PLACE}.logs.path", "exactly one of path and s3"),
    (
        "logs in two places",
        source(logs={**LOGS, "s3": {"uri": "s3://logs/web/"}}),
        f"{PLACE}.logs.path",
        "several places are several sources",
    ),
    ("logs that are not cut", source(logs={"path": "a.log"}), f"{PLACE}.logs.layout", "layout: combined"),
    ("logs cut twice", source(logs={**LOGS, "grok": "%{IP:x}"}), f"{PLACE}.logs.layout", "exactly one of layout"),
    ("no group", source(logs={"path": "a", "pattern": "(a)"}), f"{PLACE}.logs.pattern", "(?P<name>...)"),
    (
        "a look-ahead in logs",
        source(logs={"path": "a", "pattern": "(?=a)(?P<x>a)"}),
        f"{PLACE}.logs.pattern",
        "look-around",
    ),
    ("an open group", source(logs={"path": "a", "pattern": "(?P<x>a"}), f"{PLACE}.logs.pattern", "unclosed group"),
    ("logs of a format", source(logs=LOGS, format="csv"), f"{PLACE}.format", "logs.layout"),
    ("nothing to read", source(sql={"dialect": "mysql"}), f"{PLACE}.sql.query", "give one of query and table"),
    ("a file of a server", source(sql={**SERVER, "path": "shop.db"}), f"{PLACE}.sql.path", "comes from the Secret"),
    ("a Secret of a file", source(sql={**FILE, "secretRef": {"name": "db"}}), f"{PLACE}.sql.secretRef", "remove it"),
    (
        "parts of a file",
        source(sql={**FILE, "partition": {"column": "id", "parts": 2}}),
        f"{PLACE}.sql.partition",
        "by itself",
    ),
    ("a table of Delta over HTTP", source(http={"url": "https://x.example/t"}, format="delta"), f"{PLACE}.format", ""),
    ("a version of a CSV", source(path="t.csv", delta={"version": 7}), f"{PLACE}.delta.version", "format: delta"),
    (
        "rows of a generator that are new",
        source(synthetic={"kind": "text"}, incremental={}),
        f"{PLACE}.incremental",
        "read whole",
    ),
    ("new snapshots", source(path="t", format="iceberg", incremental={}), f"{PLACE}.incremental", "read whole"),
    ("new images", source(path="shots", format="images", incremental={}), f"{PLACE}.incremental", "read whole"),
    ("a database without a cursor", source(sql=SERVER, incremental={}), f"{PLACE}.incremental.cursor", "only grows"),
    ("a cursor of files", source(path="a", incremental={"cursor": "id"}), f"{PLACE}.incremental.cursor", "remove it"),
    (
        "a cursor and a watermark",
        source(sql={**SERVER, "watermark": "id"}, incremental={"cursor": "id"}),
        f"{PLACE}.sql.watermark",
        "remove sql.watermark",
    ),
    ("records of a format", source(kafka=TOPIC, format="csv"), f"{PLACE}.format", "kafka.valueFormat"),
    ("rows without names", source(kafka={**TOPIC, "valueFormat": "csv"}), f"{PLACE}.kafka.columns", "name the fields"),
    ("names of objects", source(kafka={**TOPIC, "columns": ["a"]}), f"{PLACE}.kafka.columns", "remove them otherwise"),
    (
        "a point twice",
        source(kafka={**TOPIC, "start": {"time": "2026-01-01T00:00:00Z", **offsets(1, 0)}}),
        f"{PLACE}.kafka.start.offsets",
        "remove one",
    ),
    (
        "a partition twice",
        source(kafka={**TOPIC, "end": offsets(1, 0, 0)}),
        f"{PLACE}.kafka.end.offsets[1].partition",
        "once",
    ),
    ("the end first", source(kafka={**TOPIC, "start": offsets(2, 0), "end": offsets(1, 0)}), f"{PLACE}.kafka.end", ""),
    (
        "the end first, by zones",
        source(
            kafka={
                **TOPIC,
                "start": {"time": "2026-01-01T00:00:00Z"},
                "end": {"time": "2026-01-01T00:30:00+01:00"},
            }
        ),
        f"{PLACE}.kafka.end",
        "exchange them",
    ),
    ("a Secret for nothing", source(kafka={**TOPIC, "secretRef": {"name": "k"}}), f"{PLACE}.kafka.secretRef", "sasl"),
    (
        "no day",
        source(kafka={**TOPIC, "end": {"time": "2026-02-31T00:00:00Z"}}),
        f"{PLACE}.kafka.end.time",
        "is no day of the calendar",
    ),
    ("a broker without a port", source(kafka={**TOPIC, "bootstrap": "kafka"}), f"{PLACE}.kafka.bootstrap", "9092"),
    (
        "a table of Iceberg over HTTP",
        source(http={"url": "https://x.example/t"}, format="iceberg"),
        f"{PLACE}.format",
        "",
    ),
    ("a snapshot of a CSV", source(path="t.csv", iceberg={"snapshot": "7"}), f"{PLACE}.iceberg", "format: iceberg"),
    (
        "a snapshot and a time",
        source(path="t", format="iceberg", iceberg={"snapshot": "7", "time": "2026-01-01T00:00:00Z"}),
        f"{PLACE}.iceberg.time",
        "remove one",
    ),
    (
        "a snapshot as a number",
        source(path="t", format="iceberg", iceberg={"snapshot": 7}),
        f"{PLACE}.iceberg.snapshot",
        "",
    ),
    (
        "predictions in two places",
        feedback(predictions={"path": "log", "s3": {"uri": "s3://log/"}}),
        f"{PLACE}.feedback.predictions.path",
        "that the server logs to",
    ),
    ("a time and no limit", feedback(time="known"), f"{PLACE}.feedback.time", "how late it may be"),
    ("labels from nowhere", feedback(labels="x"), f"{PLACE}.feedback.labels", "name it"),
    ("predictions of a format", feedback({"format": "jsonl"}), f"{PLACE}.format", "remove it"),
    (
        "predictions of pictures",
        feedback() | {"spec.train.task": "image-classification", "spec.prepare": {}},
        f"{PLACE}.feedback",
        "a source of their own",
    ),
    *(
        (f"a path of a volume: {path}", source(pvc={"claimName": "x", "path": path}), f"{PLACE}.pvc.path", "relative")
        for path in ("/etc/passwd", "../a", "a/../b", "a/..")
    ),
    ("a claim with dots", source(pvc={"claimName": "a.b"}), f"{PLACE}.pvc.claimName", "dots cannot be"),
    ("a table on a volume", source(pvc={"claimName": "x"}, format="delta"), f"{PLACE}.format", "give its folder"),
    ("rows of a format", source(synthetic={"kind": "text"}, format="csv"), f"{PLACE}.format", "remove it"),
]

FILES_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("logs of a layout", source(logs={**LOGS, "maxUnmatched": 0})),
    ("logs in S3", source(logs={"s3": {"uri": "s3://logs/web/", "secretRef": {"name": "s3"}}, "grok": "%{IP:x}"})),
    ("logs of a pattern", source(logs={"path": "logs/*.gz", "pattern": r"^(?<a>\S+) (?P<b>.*)$"})),
    ("a server's table", source(sql={**SERVER, "partition": {"column": "id", "parts": 2}, "watermark": "id"})),
    ("a file's query", source(sql={"dialect": "sqlite", "query": "SELECT 1 AS one", "path": "shop.db"})),
    ("a version of a table", source(path="table", format="delta", delta={"version": 7})),
    ("new rows of a table", source(sql=SERVER, incremental={"cursor": "id"})),
    ("new files", source(s3={"uri": "s3://lake/days/"}, format="csv", incremental={})),
    ("a topic", source(kafka={**TOPIC, "start": offsets(7, 0), "end": offsets(7, 0, 1), "maxBad": 0.1})),
    (
        "a topic's rows of a day",
        source(
            kafka={
                **TOPIC,
                "start": {"time": "2026-01-01T00:00:00Z"},
                "end": {"time": "2026-01-02T00:00:00Z"},
                "valueFormat": "csv",
                "columns": ["a", "b"],
                "tls": True,
                "sasl": "SCRAM-SHA-512",
                "secretRef": {"name": "kafka"},
            }
        ),
    ),
    (
        "a snapshot's rows",
        source(path="t", format="iceberg", iceberg={"snapshot": "7", "columns": ["a"], "filter": "a > 1"}),
    ),
    ("labels that came in time", feedback(time="known", within="30d")),
    ("files of a volume", source(pvc={"claimName": "sales", "path": "2026/..a/*.csv"})),
    ("made rows", source(synthetic={"kind": "images", "rows": 10, "seed": 1, "classes": 4, "noise": 0})),
    ("a sheet", source(path="a.xlsx", excel={"sheet": "Sales", "headerRow": 3})),
    ("an Avro file", source(path="part-0", format="avro")),
]
