"""The document `expectations.json`: what came of each expectation."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.artifacts import Document

EXPECTATIONS = "expectations.json"


class Verdict(Document):
    """What came of one expectation. `samples` are rows that break it: their number, and the values looked at."""

    rule: str
    said: str
    columns: tuple[str, ...] = ()
    outcome: Literal["kept", "warned", "quarantined"]
    rows: int = 0  # that break it
    samples: tuple[tuple[int, str], ...] = ()


class Verdicts(Document):
    """The document `expectations.json`: every expectation in its order, and the rows that one at least put aside."""

    verdicts: tuple[Verdict, ...]
    quarantined: int = 0

    @property
    def aside(self) -> dict[str, int]:
        """Rows in quarantine by the rule that they break; a row may break several."""
        return {verdict.rule: verdict.rows for verdict in self.verdicts if verdict.outcome == "quarantined"}
