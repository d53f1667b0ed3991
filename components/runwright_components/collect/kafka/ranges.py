"""Which offsets of each partition are read: fixed before the first record is, so that reading ends; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runwright_components.contract.config.kafka import TopicPointConfig


@dataclass(frozen=True, slots=True)
class Kept:
    """What a broker has of a partition: from `low` to below `high`. `start` and `end` are where the times that are
    asked for lie; None: no time is asked for."""

    low: int
    high: int
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The records of a partition from `begin` to below `end`."""

    partition: int
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


class RangeError(Exception):
    """A range that cannot be read as it is asked for. `gone`: its first records are not kept any more."""

    def __init__(self, field: str, words: str, cure: str, *, gone: bool = False) -> None:
        super().__init__(words)
        self.field = field
        self.cure = cure
        self.gone = gone


def spans(kept: Mapping[int, Kept], start: TopicPointConfig, end: TopicPointConfig) -> list[Span]:
    """What is to be read of each partition, in the order of their numbers; empty ones are left out. Raises RangeError.

    A time takes what there is. An offset is meant: one that is gone, or not there yet, is an error.
    """
    begins, ends = _offsets("start", start, kept), _offsets("end", end, kept)
    found = [_span(number, kept[number], begins.get(number), ends.get(number)) for number in sorted(kept)]
    return [span for span in found if len(span)]


def _offsets(field: str, point: TopicPointConfig, kept: Mapping[int, Kept]) -> dict[int, int]:
    unknown = next((one.partition for one in point.offsets if one.partition not in kept), None)
    if unknown is not None:
        raise RangeError(
            f"{field}.offsets", f"the topic has no partition {unknown}", f"it has {', '.join(map(str, sorted(kept)))}"
        )
    return {one.partition: one.offset for one in point.offsets}


def _span(number: int, kept: Kept, begin: int | None, end: int | None) -> Span:
    if begin is not None and begin < kept.low:
        raise RangeError(
            "start.offsets",
            f"partition {number} begins at offset {kept.low} now: the records from {begin} to {kept.low - 1} are gone",
            f"start at {kept.low} or later, or leave the partition out for the oldest; keep records longer"
            " (retention.ms, retention.bytes)",
            gone=True,
        )
    for field, offset in (("start", begin), ("end", end)):
        if offset is not None and offset > kept.high:
            raise RangeError(
                f"{field}.offsets",
                f"partition {number} ends at offset {kept.high}, and {offset} lies beyond",
                "give an offset that is there, or wait until the records are",
            )
    first = begin if begin is not None else kept.start if kept.start is not None else kept.low
    last = end if end is not None else kept.end if kept.end is not None else kept.high
    first = max(first, kept.low)
    return Span(number, first, max(first, min(last, kept.high)))
