"""Grok expressions as regular expressions that run in linear time: no look-around, no atomic groups.

The names are those that Logstash made common; the expressions are our own, and simpler than the originals where those
need look-around.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, cast

GrokType = Literal["int", "float", "string"]

_MONTH = "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?|Oct(?:ober)?"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"

PATTERNS: dict[str, str] = {
    # words and numbers
    "USERNAME": r"[\w.-]+",
    "USER": "%{USERNAME}",
    "INT": r"[+-]?\d+",
    "POSINT": r"[1-9]\d*",
    "NONNEGINT": r"\d+",
    "BASE10NUM": r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?",
    "NUMBER": "%{BASE10NUM}",
    "BASE16NUM": "[+-]?(?:0x)?[0-9A-Fa-f]+",
    "WORD": r"\b\w+\b",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": ".*?",
    "GREEDYDATA": ".*",
    "QUOTEDSTRING": r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""",
    "QS": "%{QUOTEDSTRING}",
    "UUID": "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "EMAILADDRESS": "[A-Za-z0-9!#$%&'*+/=?^_`|~.-]+@%{HOSTNAME}",
    # hosts and paths
    "MAC": "(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}",
    "IPV4": rf"{_OCTET}(?:\.{_OCTET}){{3}}",
    "IPV6": r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%\w+)?",
    "IP": "(?:%{IPV6}|%{IPV4})",
    "HOSTNAME": r"[0-9A-Za-z][0-9A-Za-z-]{0,62}(?:\.[0-9A-Za-z][0-9A-Za-z-]{0,62})*\.?",
    "IPORHOST": "(?:%{IP}|%{HOSTNAME})",
    "HOSTPORT": "%{IPORHOST}:%{POSINT}",
    "UNIXPATH": r"(?:/[\w.%!$@:,+~#=-]*)+",
    "WINPATH": r"(?:[A-Za-z]:|\\)(?:\\[^\\?*\s]*)+",
    "PATH": "(?:%{UNIXPATH}|%{WINPATH})",
    "URIPROTO": r"[A-Za-z][A-Za-z0-9+.-]*",
    "URIHOST": "%{IPORHOST}(?::%{POSINT})?",
    "URIPATH": r"(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_-]*)+",
    "URIPARAM": r"\?[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?<>\[\]-]*",
    "URIPATHPARAM": "%{URIPATH}(?:%{URIPARAM})?",
    "URI": "%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?",
    # time
    "MONTH": rf"\b(?:{_MONTH}|Nov(?:ember)?|Dec(?:ember)?)\b",
    "MONTHNUM": "(?:0?[1-9]|1[0-2])",
    "MONTHDAY": r"(?:0[1-9]|[12]\d|3[01]|[1-9])",
    "DAY": "(?:Mon|Tue(?:s)?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?",
    "YEAR": r"(?:\d\d){1,2}",
    "HOUR": r"(?:2[0-3]|[01]?\d)",
    "MINUTE": r"[0-5]\d",
    "SECOND": r"(?:[0-5]?\d|60)(?:[:.,]\d+)?",
    "TIME": "%{HOUR}:%{MINUTE}:%{SECOND}",
    "DATE_US": "%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}",
    "DATE_EU": "%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}",
    "DATE": "(?:%{DATE_US}|%{DATE_EU})",
    "DATESTAMP": "%{DATE}[- ]%{TIME}",
    "ISO8601_TIMEZONE": "(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))",
    "TIMESTAMP_ISO8601": "%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?%{ISO8601_TIMEZONE}?",
    "TZ": "(?:[A-Z]{3,4}|[+-]%{HOUR}%{MINUTE})",
    "HTTPDATE": "%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}",
    "SYSLOGTIMESTAMP": "%{MONTH} +%{MONTHDAY} %{TIME}",
    # programs
    "PROG": r"[\x21-\x5a\x5c\x5e-\x7e]+",
    "SYSLOGPROG": r"%{PROG:program}(?:\[%{POSINT:pid:int}\])?",
    "SYSLOGHOST": "%{IPORHOST}",
    "SYSLOGBASE": r"%{SYSLOGTIMESTAMP:timestamp} %{SYSLOGHOST:logsource} %{SYSLOGPROG}:",
    "LOGLEVEL": (
        "(?i:alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe"
        "|emerg(?:ency)?)"
    ),
    "COMMONAPACHELOG": (
        r"%{IPORHOST:clientip} %{NOTSPACE:ident} %{NOTSPACE:auth} \[%{HTTPDATE:timestamp}\] "
        r'"(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" '
        r"%{INT:response:int} (?:%{INT:bytes:int}|-)"
    ),
    "COMBINEDAPACHELOG": r"%{COMMONAPACHELOG} %{QS:referrer} %{QS:agent}",
}
"""Name -> expression; `%{OTHER}` stands for another one."""

_REFERENCE = re.compile(r"%\{([^{}]*)\}")
_PARTS = re.compile(r"([A-Z][A-Z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_.]*))?(?::(int|float|string))?")
_DEEPEST = 16


class GrokError(ValueError):
    """An expression cannot be used, and why; `cure` says what to write."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Expanded:
    """A regular expression with named groups, and the columns that are numbers."""

    regex: str
    types: dict[str, GrokType] = field(default_factory=dict)


def expand(expression: str) -> Expanded:
    """The regular expression that a grok expression stands for. Raises GrokError for an unknown name."""
    types: dict[str, GrokType] = {}
    regex = _expand(expression, types, _DEEPEST)
    if not types:
        raise GrokError("the expression names no column", "write %{NAME:column} for each part that becomes one")
    return Expanded(regex, types)


def _expand(expression: str, types: dict[str, GrokType], depth: int) -> str:
    def replace(match: re.Match[str]) -> str:
        parts = _PARTS.fullmatch(match[1])
        if parts is None:
            raise GrokError(f"{match[0]} is no reference", "write %{NAME}, %{NAME:column} or %{NAME:column:int}")
        name, column, kind = parts.groups()
        if name not in PATTERNS:
            close = get_close_matches(name, PATTERNS, n=1)
            raise GrokError(
                f"there is no pattern {name}", f"did you mean {close[0]}?" if close else "docs/data/files.md lists them"
            )
        inner = _expand(PATTERNS[name], types, depth - 1)
        if column is None:
            return f"(?:{inner})"
        if column in types:
            raise GrokError(f"the column {column!r} is named twice", "give each part a name of its own")
        types[column] = cast("GrokType", kind or "string")
        return f"(?P<{column}>{inner})"

    return _REFERENCE.sub(replace, expression) if depth else expression
