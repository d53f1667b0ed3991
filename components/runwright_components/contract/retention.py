"""Which checkpoints stay."""

from __future__ import annotations

from collections.abc import Iterable


def kept(steps: Iterable[int], *, newest: int, every: int | None = None) -> set[int]:
    """Of checkpoints after `steps`, the `newest` ones and, for good, the first in each span of `every` steps.

    The first of a span stays the first of it when later ones come, so that asking again never removes it.
    """
    ordered = sorted(steps)
    staying = set(ordered[-max(1, newest) :])
    if every is not None:
        spans: set[int] = set()
        for step in ordered:
            span = step // every
            if span and span not in spans:
                spans.add(span)
                staying.add(step)
    return staying
