"""Glob patterns over keys of object storage and paths of repositories, which are no files of this machine."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compiled(pattern: str) -> re.Pattern[str]:
    """For `fullmatch`: `*` and `?` stay within a folder, `**/` goes through any number of folders."""
    return re.compile("".join(_regex(part) for part in _SPECIAL.split(pattern)))


def _regex(part: str) -> str:
    if part.startswith("[") and part.endswith("]"):
        return part.replace("[!", "[^")
    return _MEANING.get(part) or re.escape(part)
