"""How a log line becomes columns: a regular expression, and what its groups hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from runwright_components.collect.grok import GrokError, expand
from runwright_components.contract.config import LogConfig
from runwright_components.contract.outcome import Reason, StageError

Kind = Literal["int", "float", "string", "clf"]
"""`clf`: a time of Apache's common log format."""

MATCHED = "__runwright_matched"
_GROUPS = "__runwright_groups"
_CLF_TIME = "%d/%b/%Y:%H:%M:%S %z"


@dataclass(frozen=True, slots=True)
class LineLayout:
    """Each named group of `regex` is a column of the kind that `kinds` says, else of strings. `dash` says that '-'
    stands for nothing, `merged` which groups only fill the gaps of another."""

    regex: str
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    dash: bool = False
    merged: Mapping[str, str] = field(default_factory=dict)

    def cut(self, frame: pl.LazyFrame, line: str, *, where: str) -> pl.LazyFrame:
        """The frame with its column `line` replaced by the columns and `MATCHED`, whether the line is of this layout.

        Raises StageError where Rust's regex engine, which runs in linear time, does not take the expression.
        """
        # The last group is empty, and null in lines that do not match.
        try:
            groups = pl.col(line).str.extract_groups(f"(?:{self.regex})(?P<{MATCHED}>)")
            schema = frame.select(groups.alias(_GROUPS)).collect_schema()[_GROUPS]
        except pl.exceptions.PolarsError as error:
            raise _no_regex(error, where) from error
        assert isinstance(schema, pl.Struct)
        names = [one.name for one in schema.fields if one.name != MATCHED and not one.name.isdigit()]
        values = {name: self._value(name) for name in names}
        for extra, name in self.merged.items():
            values[name] = pl.coalesce(values[name], values.pop(extra))
        matched = pl.col(_GROUPS).struct.field(MATCHED).is_not_null().alias(MATCHED)
        others = [name for name in frame.collect_schema() if name != line]
        return frame.with_columns(groups.alias(_GROUPS)).select(
            *others, matched, *(value.alias(name) for name, value in values.items())
        )

    def _value(self, name: str) -> pl.Expr:
        value = pl.col(_GROUPS).struct.field(name)
        value = value.replace("-", None) if self.dash else value
        match self.kinds.get(name, "string"):
            case "int":
                return value.cast(pl.Int64, strict=False)
            case "float":
                return value.cast(pl.Float64, strict=False)
            case "clf":
                return value.str.to_datetime(_CLF_TIME, strict=False).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
            case _:
                return value


def line_layout(config: LogConfig, *, where: str) -> LineLayout:
    """The layout that a configuration names; json has none. Raises StageError for grok that means nothing."""
    if config.layout is not None:
        return _LAYOUTS[config.layout]
    if config.pattern is not None:
        return LineLayout(config.pattern)
    try:
        expanded = expand(config.grok or "")
    except GrokError as error:
        raise StageError(Reason.INVALID_CONFIG, str(error), where=where, cure=error.cure) from error
    return LineLayout(expanded.regex, {name: kind for name, kind in expanded.types.items() if kind != "string"})


def _no_regex(error: Exception, where: str) -> StageError:
    lines = str(error).splitlines()
    said = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[0])
    return StageError(
        Reason.INVALID_CONFIG,
        f"no regular expression that can be used: {said}",
        where=where,
        cure="write it without look-around and back-references, and each group's name once",
    )


# ---------------------------------------------------------------- known layouts

_QUOTED = r'(?:[^"\\]|\\.)*'
_COMMON = (
    r"^(?P<client>\S+) (?P<ident>\S+) (?P<user>[^\[]*?) \[(?P<time>[^\]]+)\] "
    rf'"(?:(?P<method>[A-Z]+) (?P<path>[^" ]*)(?: (?P<protocol>[A-Z]+/[\d.]+))?|{_QUOTED})" '
    r"(?P<status>\d{3}) (?P<bytes>\d+|-)"
)
_COMBINED = rf'{_COMMON} "(?P<referer>{_QUOTED})" "(?P<agent>{_QUOTED})"'
_ACCESS: dict[str, Kind] = {"time": "clf", "status": "int", "bytes": "int"}

_ISO_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)"
_OLD_TIME = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
_SYSLOG = (
    r"^(?:<(?P<priority>\d{1,3})>)?(?:"
    rf"1 (?P<time>{_ISO_TIME}|-) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?"
    rf"|(?P<old_time>{_OLD_TIME}|{_ISO_TIME}) (?P<old_host>\S+) (?P<old_program>[^\s:\[]+)(?:\[(?P<old_pid>\d+)\])?:? ?"
    r")(?P<message>.*)$"
)

_LAYOUTS: dict[str, LineLayout] = {
    "common": LineLayout(f"{_COMMON}$", _ACCESS, dash=True),
    "combined": LineLayout(f"{_COMBINED}$", _ACCESS, dash=True),
    "nginx": LineLayout(rf'{_COMBINED}(?: "(?P<forwarded>{_QUOTED})")?$', _ACCESS, dash=True),
    "syslog": LineLayout(
        _SYSLOG,
        {"priority": "int", "pid": "int", "old_pid": "int"},
        dash=True,
        merged={f"old_{name}": name for name in ("time", "host", "program", "pid")},
    ),
}
"""`_SYSLOG` begins with RFC 5424; RFC 3164 follows, whose time has no year, and what rsyslog writes to files."""
