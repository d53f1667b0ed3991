"""`spec.data.sources[].kafka`: the records of a topic between two points."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Path, Rule, map_by, unless
from runwright_api.spec.shared import SecretRef
from runwright_api.text import Brokers, ColumnName, Instant, TopicName


class PartitionOffset(Part):
    """A place in one partition."""

    partition: Annotated[int, Field(ge=0, le=99_999)]
    """Number of the partition."""
    offset: Annotated[int, Field(ge=0, le=2**53)]
    """Number of the record in it."""


def _repeated_partitions(point: TopicPoint) -> list[Path]:
    numbers = [one.partition for one in point.offsets]
    return [("offsets", index, "partition") for index, number in enumerate(numbers) if number in numbers[:index]]


class TopicPoint(Part):
    """A point of a topic: a time, or an offset of each partition."""

    time: Instant | None = None
    """Of the records, by their time stamps: 2026-01-31T00:00:00Z."""
    offsets: Annotated[
        tuple[PartitionOffset, ...], Field(max_length=256, json_schema_extra=map_by("partition")), Lax
    ] = ()
    """In some partitions; the others have the default."""

    rules = (
        Rule(
            message="a point is a time or offsets, not both",
            broken=lambda point: unless(point.time is None or not point.offsets, "offsets"),
            cel="!has(self.time) || !has(self.offsets) || self.offsets.size() == 0",
            cure="remove one of them",
        ),
        Rule(
            message="each partition has one offset",
            broken=_repeated_partitions,
            cel="",  # the API server keeps the keys of the list unique
            cure="name each partition once",
        ),
    )


def _is_range(kafka: KafkaSource) -> bool:
    if kafka.start.time is not None and kafka.end.time is not None:
        return datetime.fromisoformat(kafka.start.time) < datetime.fromisoformat(kafka.end.time)
    ends = {one.partition: one.offset for one in kafka.end.offsets}
    return all(one.offset <= ends.get(one.partition, one.offset) for one in kafka.start.offsets)


class KafkaSource(Part):
    """Records of a Kafka topic. What is there when reading begins is read, then it ends; no offset is committed."""

    bootstrap: Brokers
    """Brokers to ask first: HOST:PORT, several with commas between."""
    topic: TopicName
    """Name of the topic."""
    start: TopicPoint = TopicPoint()
    """First record that is read. Default: the oldest that is kept."""
    end: TopicPoint = TopicPoint()
    """First record that is not read any more. Default: the newest when reading begins is the last."""
    value_format: Literal["json", "csv", "text"] = "json"
    """What a record's value is: a JSON object, a row of CSV, or text, which makes a column `text`. Default: json."""
    columns: Annotated[tuple[ColumnName, ...], Field(max_length=1024), Lax] = ()
    """Names of the fields of a row of CSV; `csv` of the source says how it is written."""
    key_column: ColumnName | None = None
    """Column that the records' keys become. Default: none."""
    timestamp_column: ColumnName | None = None
    """Column that the records' time stamps become. Default: none."""
    max_bad: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of records that may be broken; they are left out and counted. Default: 0, the first is an error."""
    tls: bool = False
    """Whether connections are encrypted, and the brokers' certificates checked. Default: false."""
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How user and password are shown to the brokers. Default: there are none."""
    secret_ref: SecretRef | None = None
    """Secret with the keys username and password, and for TLS ca, certificate and key (PEM) as needed; on a laptop
    RUNWRIGHT_KAFKA_USERNAME_NAME and so on have them."""

    rules = (
        Rule(
            message="rows of CSV have columns, and other records do not",
            broken=lambda kafka: unless(bool(kafka.columns) == (kafka.value_format == "csv"), "columns"),
            cel=(
                "(has(self.columns) && self.columns.size() > 0) == (has(self.valueFormat) && self.valueFormat == 'csv')"
            ),
            cure="name the fields of a row with `valueFormat: csv`, in their order; remove them otherwise",
        ),
        Rule(
            message="start lies before end",
            broken=lambda kafka: unless(_is_range(kafka), "end"),
            cel="",  # times have zones, and lists of offsets would be walked for each other
            cure="exchange them, or give another end",
        ),
        Rule(
            message="a Secret holds what sasl or tls needs",
            broken=lambda kafka: unless(kafka.secret_ref is None or kafka.tls or kafka.sasl is not None, "secretRef"),
            cel="!has(self.secretRef) || has(self.sasl) || (has(self.tls) && self.tls)",
            cure="set sasl or tls as the brokers ask for, or remove it",
        ),
    )
