"""A connection to the brokers of a topic that reads and leaves no trace: no group is joined, no offset committed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runwright_components.collect.kafka.ranges import Kept, Span
from runwright_components.contract.brokers import LOGIN_KEYS, TLS_KEYS, broker_variable
from runwright_components.contract.config import KafkaConfig, Source
from runwright_components.contract.config.kafka import TopicPointConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.reach import Reach

_AT_ONCE = 1000  # records
_POLL_SECONDS = 0.5
_TLS_SETTINGS = {"ca": "ssl.ca.pem", "certificate": "ssl.certificate.pem", "key": "ssl.key.pem"}

_AWAY = (Reason.SOURCE_UNAVAILABLE, "the brokers do not answer", "check kafka.bootstrap, kafka.tls and the network")
_DENIED = (
    Reason.SOURCE_DENIED,
    "the brokers refuse to let us read",
    "check kafka.sasl, user and password, and let that user read and describe the topic",
)
_TLS = (Reason.INVALID_CONFIG, "no connection over TLS comes about", "check kafka.tls, and the certificates given")
_MISSING = (Reason.SOURCE_NOT_FOUND, "there is no such topic", "check kafka.topic; topics are told apart by case")
_LOST = (
    Reason.DATA_UNREADABLE,
    "records were removed while they were read",
    "start later, or keep records longer (retention.ms, retention.bytes)",
)
_FAULTS = {
    KafkaError._AUTHENTICATION: _DENIED,
    KafkaError.SASL_AUTHENTICATION_FAILED: _DENIED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _DENIED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _DENIED,
    KafkaError._SSL: _TLS,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _MISSING,
    KafkaError._UNKNOWN_TOPIC: _MISSING,
    KafkaError.TOPIC_EXCEPTION: _MISSING,
    KafkaError.OFFSET_OUT_OF_RANGE: _LOST,
    KafkaError._AUTO_OFFSET_RESET: _LOST,
}
_TELLING = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED)


class Broker:
    """An open connection, for one thread. To be closed."""

    def __init__(self, source: Source, config: KafkaConfig) -> None:
        self._config = config
        self._where = f"{source.name}, topic {config.topic}"
        self._patience = source.timeout_seconds
        self._said: KafkaError | None = None  # of a connection that did not come about, which calls tell as a timeout
        self._reach = Reach(private=source.reach.private, allowed=source.reach.allowed)
        for address in config.bootstrap.split(","):
            host, _, port = address.rpartition(":")
            self._reach.check_known(host, int(port), where=self._where)
        try:
            self._consumer = Consumer(_settings(source, config, os.environ), error_cb=self._note)
        except KafkaException as error:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the settings do not do: {_words(error.args[0])}",
                where=source.name,
                cure="check the certificates and the key: PEM, the key without a password",
            ) from None

    def close(self) -> None:
        self._consumer.close()

    def kept(self) -> dict[int, Kept]:
        """What there is of each partition, and where the times that are asked for lie. Raises StageError."""
        config = self._config
        with self._told():
            numbers = self._partitions()
            starts, ends = self._at(config.start, numbers), self._at(config.end, numbers)
            found = {}
            for number in numbers:
                low, high = self._consumer.get_watermark_offsets(
                    TopicPartition(config.topic, number), timeout=self._patience
                )
                found[number] = Kept(low, high, starts.get(number), ends.get(number))
        return found

    def records(self, span: Span) -> Iterator[Message]:
        """The records of a span; of a transaction that is still open none is there. Raises StageError."""
        with self._told():
            self._consumer.assign([TopicPartition(self._config.topic, span.partition, span.begin)])
            heard = time.monotonic()
            while True:
                got = self._consumer.consume(_AT_ONCE, timeout=_POLL_SECONDS)
                if got:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._patience:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record for {self._patience:g} s"))
                for message in got:
                    offset = _offset(message)
                    if message.error() is None and offset < span.end:
                        yield message
                        offset += 1
                    if offset >= span.end:  # the next one, or where the partition ends: marks of transactions are none
                        return

    def _partitions(self) -> list[int]:
        known = self._consumer.list_topics(self._config.topic, timeout=self._patience)
        for broker in known.brokers.values():  # they may name others than the ones that were asked
            self._reach.check_known(broker.host, broker.port, where=self._where)
        topic = known.topics[self._config.topic]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return sorted(topic.partitions)

    def _at(self, point: TopicPointConfig, numbers: list[int]) -> dict[int, int]:
        """The first offset at or after a time; none for a partition that has no such record."""
        if point.time is None:
            return {}
        milliseconds = round(datetime.fromisoformat(point.time).timestamp() * 1000)
        asked = [TopicPartition(self._config.topic, number, milliseconds) for number in numbers]
        found = self._consumer.offsets_for_times(asked, timeout=self._patience)
        return {one.partition: one.offset if one.offset >= 0 else 2**63 for one in found}

    def _note(self, error: KafkaError) -> None:
        if error.code() in _TELLING:
            self._said = error

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn an error of the client into a StageError."""
        try:
            yield
        except KafkaException as error:
            self._consumer.poll(0.1)  # lets `_note` hear
            cause = self._said or error.args[0]
            reason, message, cure = _FAULTS.get(cause.code(), _AWAY)
            raise StageError(reason, f"{message}: {_words(cause)}", where=self._where, cure=cure) from None


def _offset(message: Message) -> int:
    """Of a record, or of the end of the partition. Raises KafkaException for anything else."""
    error, offset = message.error(), message.offset()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return -1 if offset is None else offset


def _words(error: KafkaError) -> str:
    return error.str().strip().rstrip(".").splitlines()[0]


def _settings(source: Source, config: KafkaConfig, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "bootstrap.servers": config.bootstrap,
        "client.id": "runwright",
        "group.id": "runwright",  # the library asks for one; nothing subscribes, so no group comes to be
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "log_level": 0,
        "security.protocol": f"{'sasl_' if config.sasl else ''}{'ssl' if config.tls else 'plaintext'}",
        **_login(source, config, environment),
        **_certificates(source, config, environment),
    }


def _login(source: Source, config: KafkaConfig, environment: Mapping[str, str]) -> dict[str, str]:
    if config.sasl is None:
        return {}
    given = {key: environment.get(broker_variable(source.name, key), "").strip() for key in LOGIN_KEYS}
    missing = next((key for key, value in given.items() if not value), None)
    if missing is not None:
        variable = broker_variable(source.name, missing)
        raise StageError(
            Reason.INVALID_CONFIG,
            f"the environment variable {variable} is not set",
            where=source.name,
            cure=f"export {variable}; in a cluster, name a Secret with the key {missing} in kafka.secretRef",
        )
    return {"sasl.mechanism": config.sasl, **{f"sasl.{key}": value for key, value in given.items()}}


def _certificates(source: Source, config: KafkaConfig, environment: Mapping[str, str]) -> dict[str, str]:
    if not config.tls:
        return {}
    given = {key: environment.get(broker_variable(source.name, key), "").strip() for key in TLS_KEYS}
    return {_TLS_SETTINGS[key]: value for key, value in given.items() if value}
