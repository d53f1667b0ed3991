"""The range of a Kafka topic."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.base import Config


class PartitionOffsetConfig(Config):
    partition: int
    offset: int


class TopicPointConfig(Config):
    """A time (RFC 3339), offsets of some partitions, or neither: the one end of what is kept."""

    time: str | None = None
    offsets: tuple[PartitionOffsetConfig, ...] = ()


class KafkaConfig(Config):
    """User, password and certificates are never here: `contract.brokers` says which variables have them."""

    bootstrap: str  # HOST:PORT, several with commas between
    topic: str
    start: TopicPointConfig = TopicPointConfig()
    end: TopicPointConfig = TopicPointConfig()  # is not read any more
    value_format: Literal["json", "csv", "text"] = "json"
    columns: tuple[str, ...] = ()  # csv: the fields of a row
    key_column: str | None = None
    timestamp_column: str | None = None
    max_bad: float = 0.0  # share of records that may be broken
    tls: bool = False
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
