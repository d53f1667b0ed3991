"""Whether a live object still holds all that we apply, whatever others and the API server's defaults added to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([eE][+-]?\d{1,3}|[numkMGTPE]|[KMGTPE]i)?")
_SCALES = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("num", start=-3)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_AMOUNTS = ("requests", "limits")
_NAMES = ("name", "mountPath")  # what an element of a list is known by, as in server-side apply


def wanted_equals(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether applying `wanted` would change nothing of `live`.

    Fields that only `live` has are others'; amounts of resources are compared by value (a webhook writes 500m for 0.5);
    what is empty in `wanted` may be missing, for Go leaves empty fields out.
    """
    return _holds(live, wanted)


def _holds(live: Any, wanted: Any, field: str = "") -> bool:
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return live is None and not wanted
        inner = "amount" if field in _AMOUNTS else ""
        return all(_holds(live.get(name), value, inner or name) for name, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(live, Sequence) or isinstance(live, str):
            return live is None and not wanted
        return _list_holds(live, wanted)
    if field == "amount":
        mine, theirs = quantity(str(wanted)), quantity(str(live))
        return mine is not None and mine == theirs
    if wanted in ("", None) and live in ("", None):
        return True
    return bool(live == wanted) and isinstance(live, bool) == isinstance(wanted, bool)


def _list_holds(live: Sequence[Any], wanted: Sequence[Any]) -> bool:
    key = next((key for key in _NAMES if wanted and all(isinstance(one, Mapping) and key in one for one in wanted)), "")
    if not key:
        return len(live) == len(wanted) and all(_holds(one, other) for one, other in zip(live, wanted, strict=True))
    known = {str(one[key]): one for one in live if isinstance(one, Mapping) and key in one}
    return all(_holds(known.get(str(one[key])), one) for one in wanted)


def quantity(text: str) -> Decimal | None:
    """A Kubernetes quantity (`500m`, `1Gi`, `1e3`) as a number; None for what is none."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        return None
    number, suffix = found[1], found[2] or ""
    if suffix[:1] in ("e", "E") and suffix[1:]:
        return Decimal(f"{number}{suffix}")
    return Decimal(number) * _SCALES.get(suffix, Decimal(1))
