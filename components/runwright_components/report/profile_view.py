"""What the page of a profile shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runwright_components.profile.document import Profile
from runwright_components.report.data_view import ColumnView, column_view, duplicate_rows
from runwright_components.report.relations_view import PatternView, RelationsView, patterns_view, relations_view
from runwright_components.report.wording import count, percent


@dataclass(frozen=True)
class ProfileView:
    name: str
    target: str
    tiles: tuple[tuple[str, str, str], ...]  # (name, figure, context)
    findings: tuple[tuple[str, str], ...]  # (column, note)
    columns: tuple[ColumnView, ...]
    unused: tuple[tuple[str, str], ...]  # (name, why)
    relations: RelationsView | None
    patterns: tuple[PatternView, ...]
    duplicates: tuple[tuple[str, ...], ...]  # header and sample rows
    section: str  # the proposal


def profile_view(profile: Profile, section: str) -> ProfileView:
    read = [column for column in profile.columns if column.role != "ignored"]
    cells = sum(column.before.rows for column in read)
    missing = sum(column.before.missing for column in read)
    unused = len(profile.columns) - len(read)
    odd = [finding for finding in profile.findings if finding.kind != "unused"]
    header, sample = duplicate_rows(profile.duplicates)
    return ProfileView(
        name=profile.name,
        target=profile.target,
        tiles=(
            ("Rows", count(profile.rows), f"{count(profile.duplicates.found)} repeat an earlier one"),
            ("Columns", count(len(profile.columns)), f"{count(unused)} say nothing"),
            ("Missing values", percent(missing / cells if cells else 0.0), f"{count(missing)} cells"),
            ("Odd", count(len(odd)), "things to look at" if len(odd) != 1 else "thing to look at"),
        ),
        findings=tuple((finding.column, finding.note) for finding in odd),
        columns=tuple(_as_they_are(column_view(column, before="one")) for column in read),
        unused=tuple((column.name, column.reason) for column in profile.columns if column.role == "ignored"),
        relations=relations_view(profile.relations),
        patterns=patterns_view(profile.missing_together),
        duplicates=(header, *sample) if sample else (),
        section=section,
    )


def _as_they_are(column: ColumnView) -> ColumnView:
    """With one side, in colour."""
    return replace(column, sides=tuple(replace(side, title="") for side in column.sides))
