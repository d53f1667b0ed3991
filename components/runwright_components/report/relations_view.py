"""What the pages show of columns together: relations as a shaded matrix, gaps that stand in the same rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runwright_components.prepare.quality import MissingPattern, Relation
from runwright_components.report.wording import MINUS, fixed, percent

_MEASURES = {"spearman": "rank correlation", "cramer": "Cramér's V", "eta": "correlation ratio"}
STRONGEST = 8
_WEAK = 0.3  # is not listed among the strongest


@dataclass(frozen=True)
class RelationCell:
    """`heat` from 0 to 10: the strength, in steps that a style sheet can name. `note` is for the pointer."""

    text: str
    heat: int
    note: str


@dataclass(frozen=True)
class RelationsView:
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[RelationCell | None, ...]], ...]  # a cell a name; None on the diagonal and unknown
    strongest: tuple[tuple[str, str, str, str], ...]  # (left, right, strength, measure)


def relations_view(relations: Sequence[Relation]) -> RelationsView | None:
    """None where no two columns were compared."""
    if not relations:
        return None
    names = tuple(dict.fromkeys(name for each in relations for name in (each.left, each.right)))
    cells = {}
    for each in relations:
        cell = _cell(each)
        cells[each.left, each.right] = cells[each.right, each.left] = cell
    ordered = sorted(relations, key=lambda each: -abs(each.strength))
    return RelationsView(
        names=names,
        rows=tuple((row, tuple(cells.get((row, column)) for column in names)) for row in names),
        strongest=tuple(
            (each.left, each.right, fixed(each.strength, 2), _MEASURES[each.measure])
            for each in ordered[:STRONGEST]
            if abs(each.strength) >= _WEAK
        ),
    )


def _cell(relation: Relation) -> RelationCell:
    strength = min(abs(relation.strength), 1.0)
    text = "1" if strength >= 0.995 else f"{strength:.2f}".removeprefix("0")
    return RelationCell(
        text=f"{MINUS if relation.strength < -0.005 else ''}{text}",
        heat=round(10 * strength),
        note=f"{relation.left} and {relation.right}: {_MEASURES[relation.measure]} {fixed(relation.strength)}",
    )


@dataclass(frozen=True)
class PatternView:
    columns: tuple[str, ...]
    share: str
    width: str  # of its bar, per cent


def patterns_view(patterns: Sequence[MissingPattern]) -> tuple[PatternView, ...]:
    return tuple(PatternView(each.columns, percent(each.share), f"{100 * each.share:.2f}%") for each in patterns)
