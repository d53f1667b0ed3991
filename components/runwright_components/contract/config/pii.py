"""What the prepare stage is told of personal data."""

from __future__ import annotations

from typing import Literal, get_args

from runwright_components.contract.config.base import Config

PiiKind = Literal["email", "iban", "creditCard", "ip", "ssn", "phone"]
PII_KINDS: tuple[PiiKind, ...] = get_args(PiiKind)


class PiiRules(Config):
    action: Literal["warn", "mask", "hash", "drop", "ignore"] = "warn"
    kinds: tuple[PiiKind, ...] = ()  # none: every kind
    columns: tuple[str, ...] = ()  # none: every column of text
    salt: str | None = None  # with hash: the key of the hashes

    @property
    def looked_for(self) -> tuple[PiiKind, ...]:
        """The kinds in the one order in which they are looked for."""
        return tuple(kind for kind in PII_KINDS if not self.kinds or kind in self.kinds)
