"""The `prepare` section that a profile proposes, as YAML with the reason of each line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from runwright_cli.starter import comment, scalar

if TYPE_CHECKING:
    from pydantic import JsonValue

    from runwright_components.profile.document import Profile, Proposal

_LISTS = ("columns", "expectations")
_NOTED = ("sentinel", "typos", "dates", "leakage", "copy", "imbalance")
"""Findings that are worth a line where nothing is proposed for them."""


def render(profile: Profile, file: str) -> str:
    """The YAML text: `prepare` and what is below it, for a TrainingRun's `spec`."""
    head = f"# {file}: {profile.rows:,} rows, {len(profile.columns)} columns. Goes into `spec` of a TrainingRun."
    lines = [comment(head), "prepare:"]
    for field, group in groupby(profile.proposals, key=lambda proposal: proposal.field):
        proposals = list(group)
        lines += _list(field, proposals) if field in _LISTS else [_line(proposal) for proposal in proposals]
    notes = [finding for finding in profile.findings if finding.kind in _NOTED]
    if notes:
        lines.append("  # What else was seen:")
        lines += [f"  #   {comment(finding.column)}: {comment(finding.note)}" for finding in notes]
    return "\n".join(lines) + "\n"


def _line(proposal: Proposal) -> str:
    mark = "" if proposal.sure else "# "
    return f"  {mark}{proposal.field}: {flow(proposal.value)}  # {comment(proposal.reason)}"


def _list(field: str, proposals: Sequence[Proposal]) -> Iterator[str]:
    """A list whose items that are not sure are comments, as is its key where all of them are."""
    yield f"  {field}:" if any(proposal.sure for proposal in proposals) else f"  # {field}:"
    for proposal in proposals:
        yield f"    {'' if proposal.sure else '# '}- {flow(proposal.value)}  # {comment(proposal.reason)}"


def flow(value: JsonValue) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return "null" if value is None else str(value).lower()
