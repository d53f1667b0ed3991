"""What a Kafka source gives: the records of a range as one file of JSON lines, and the signs of their change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from runwright_components.collect.files import SourceFile
from runwright_components.collect.kafka.broker import Broker
from runwright_components.collect.kafka.ranges import RangeError, Span, spans
from runwright_components.collect.kafka.records import BadRecordError, ColumnTakenError, Decoder, line
from runwright_components.collect.transfer import Sign
from runwright_components.contract.config import KafkaConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress

_TOLD_EVERY = 4096  # records, between two words of progress


def kafka_files(
    source: Source, *, scratch: Callable[[], Path], limit: int | None, progress: Progress
) -> list[SourceFile]:
    """The records that are there when reading begins, partition after partition, at most `limit` of them, as lines of
    JSON. Raises StageError."""
    config = _config(source)
    target = scratch()
    with closing(Broker(source, config)) as broker, target.open("wb") as out:
        found = _spans(broker, source, config)
        _Reading(source, config, progress, limit).copy(broker, found, out)
    return [SourceFile("records.jsonl", target, f"topic {config.topic}")]


def kafka_signs(source: Source) -> list[Sign]:
    """Where each partition's range begins and ends."""
    config = _config(source)
    with closing(Broker(source, config)) as broker:
        return [(span.partition, span.begin, span.end) for span in _spans(broker, source, config)]


def _config(source: Source) -> KafkaConfig:
    if source.kafka is None:
        raise StageError(
            Reason.INVALID_CONFIG,
            "nothing says what is read of the topic",
            where=source.name,
            cure="give the source under kafka, with bootstrap and topic",
        )
    return source.kafka


def _spans(broker: Broker, source: Source, config: KafkaConfig) -> list[Span]:
    try:
        return spans(broker.kept(), config.start, config.end)
    except RangeError as error:
        reason = Reason.DATA_UNREADABLE if error.gone else Reason.INVALID_CONFIG
        raise StageError(reason, str(error), where=f"{source.name}, kafka.{error.field}", cure=error.cure) from None


@dataclass(slots=True)
class _Bad:
    """Records that make no row: how many, and what is wrong with the first."""

    number: int = 0
    first: str = ""

    def add(self, where: str, why: str) -> None:
        self.first = self.first or f"{where}: {why}"
        self.number += 1


class _Reading:
    """Copies spans into a file, and counts."""

    def __init__(self, source: Source, config: KafkaConfig, progress: Progress, limit: int | None) -> None:
        self._source, self._config, self._progress = source, config, progress
        self._limit = limit
        self._decoder = Decoder(config, source.csv)
        self._seen = self._written = self._empty = 0
        self._bad = _Bad()

    def copy(self, broker: Broker, found: list[Span], out: IO[bytes]) -> None:
        total = sum(map(len, found))
        for message in chain.from_iterable(broker.records(span) for span in found):
            if self._written == self._limit:
                break
            self._seen += 1
            self._write(message, out)
            if self._seen % _TOLD_EVERY == 0:
                self._progress.update(self._seen, total, unit="rows", message=f"read {self._source.name}")
        self._judge()

    def _write(self, message: Message, out: IO[bytes]) -> None:
        value = message.value()
        if value is None:  # a record that says that its key is deleted
            self._empty += 1
            return
        where = f"partition {message.partition()}, offset {message.offset()}"
        kind, milliseconds = message.timestamp()
        try:
            row = self._decoder.row(_key(message), value, None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds)
            out.write(line(row))
        except BadRecordError as error:
            self._bad.add(where, str(error))
            if self._config.max_bad == 0:
                raise self._too_bad() from None
            return
        except ColumnTakenError as error:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the record has a field {str(error)!r} of its own",
                where=f"{self._source.name}, {where}",
                cure="give kafka.keyColumn and kafka.timestampColumn names that no field has",
            ) from None
        self._written += 1

    def _judge(self) -> None:
        if self._bad.number > self._config.max_bad * self._seen:
            raise self._too_bad()
        if self._bad.number:
            self._warn(f"{self._bad.number:,} of {self._seen:,} records are broken and left out; {self._bad.first}")
        if self._empty:
            self._warn(f"{self._empty:,} of {self._seen:,} records have no value (deletions) and are left out")
        if self._written == 0:
            raise StageError(
                Reason.DATA_INVALID,
                "the range holds no records with a value" if self._seen else "the range holds no records",
                where=f"{self._source.name}, topic {self._config.topic}",
                cure="check kafka.start and kafka.end; the brokers may have removed what is old",
            )

    def _warn(self, words: str) -> None:
        self._progress.warning(f"{self._source.name}: {words}")

    def _too_bad(self) -> StageError:
        share = f"{self._bad.number:,} of {self._seen:,} records are broken; " if self._config.max_bad else ""
        return StageError(
            Reason.DATA_INVALID,
            f"{share}{self._bad.first}",
            where=f"{self._source.name}, topic {self._config.topic}",
            cure="mend what writes them and start after them, allow a share of them (kafka.maxBad), or give another"
            " kafka.valueFormat",
        )


def _key(message: Message) -> bytes | None:
    key = message.key()
    return key.encode() if isinstance(key, str) else key
