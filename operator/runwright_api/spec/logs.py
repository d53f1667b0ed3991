"""`logs`: lines of log files, cut into columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter
from pydantic_core import SchemaError

from runwright_api.part import Broken, Part, Path, Rule, unless
from runwright_api.spec.s3 import S3Source
from runwright_api.text import FilePath, Text

_NAMED_GROUP = r"\(\?P?<[A-Za-z_]"
_LINEAR_RULE = "the pattern is a regular expression that runs in linear time"
_LINEAR = "write the expression without look-around and back-references: it runs in linear time, as RE2 does"


def _regex_faults(logs: LogSource) -> Iterator[Path | Broken]:
    """What the engine that reads the logs (Rust's regex, as pydantic's own) says of the expression."""
    if logs.pattern is None:
        return
    try:
        TypeAdapter(Annotated[str, Field(pattern=logs.pattern)])
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        said = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1])
        yield Broken(("pattern",), _LINEAR_RULE, f"{said}; {_LINEAR}")


class LogSource(Part):
    """Lines of log files, cut into columns. Exactly one of layout, pattern and grok says how."""

    path: FilePath | None = None
    """File, folder or glob pattern of the logs. Rotated files (app.log.2.gz, app.log.1, app.log) are read in order of
    time."""
    s3: S3Source | None = None
    """Logs in S3, in place of a path."""
    layout: Literal["combined", "common", "nginx", "syslog", "json"] | None = None
    """A known layout: Apache's combined and common, nginx's main, syslog (RFC 3164, RFC 5424), an object a line."""
    pattern: Text | None = None
    """Regular expression with named groups; each group is a column. No look-around, no back-references."""
    grok: Text | None = None
    """Expression of grok, for example '%{IPORHOST:client} %{NUMBER:seconds:float}'."""
    max_unmatched: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of lines that may not match; more is an error, fewer are left out and counted. Default: 0.1."""

    rules = (
        Rule(
            message="exactly one of path and s3 says where the logs are",
            broken=lambda logs: unless((logs.path is None) != (logs.s3 is None), "path"),
            cel="has(self.path) != has(self.s3)",
            cure="give one of them; several places are several sources",
        ),
        Rule(
            message="exactly one of layout, pattern and grok says how the lines are cut",
            broken=lambda logs: unless([logs.layout, logs.pattern, logs.grok].count(None) == 2, "layout"),
            cel="[has(self.layout), has(self.pattern), has(self.grok)].filter(given, given).size() == 1",
            cure="give one of them, for example layout: combined",
        ),
        Rule(
            message="the pattern names at least one group",
            broken=lambda logs: unless(
                logs.pattern is None or re.search(_NAMED_GROUP, logs.pattern) is not None, "pattern"
            ),
            cel=f"!has(self.pattern) || self.pattern.matches(r'{_NAMED_GROUP}')",
            cure="write (?P<name>...) around each part that becomes a column",
        ),
        Rule(
            message=_LINEAR_RULE,
            broken=_regex_faults,
            cel="",
            cure=_LINEAR,
        ),
    )
