"""Grok expressions: what each name matches, and what is said of expressions that mean nothing."""

import polars as pl
import pytest

from runwright_components.collect.grok import PATTERNS, GrokError, expand


def find(expression, line):
    """The named groups, by the engine that reads logs; None where the line does not match."""
    regex = expand(expression).regex
    found = pl.select(pl.lit(line).str.extract_groups(f"^(?:{regex})$(?P<m>)")).item()
    return (
        None
        if found["m"] is None
        else {name: value for name, value in found.items() if name in expand(expression).types}
    )


MATCHES = {
    "INT": ["-12", "7"],
    "NUMBER": ["-1.5e-3", "12", ".5"],
    "BASE16NUM": ["0xFF", "beef"],
    "WORD": ["word_1", "größe"],
    "NOTSPACE": ["a-b;c"],
    "QS": ['"a \\" b"', "'x'"],
    "UUID": ["550e8400-e29b-41d4-a716-446655440000"],
    "EMAILADDRESS": ["jane.doe+x@example.org"],
    "MAC": ["00:1B:44:11:3a:b7"],
    "IP": ["192.168.0.1", "2001:db8::1", "::1", "::ffff:10.0.0.1"],
    "IPORHOST": ["10.0.0.1", "host-1.example.org"],
    "HOSTPORT": ["localhost:8080"],
    "PATH": ["/var/log/app.log", "C:\\Windows\\x.log"],
    "URI": ["https://user@example.org:8443/a/b?c=d&e=%20", "ftp://example.org"],
    "URIPATHPARAM": ["/a/b.html?x=1"],
    "TIMESTAMP_ISO8601": ["2026-05-01T12:30:00.123Z", "2026-05-01 12:30:00,123", "2026-05-01T12:30:00+02:00"],
    "HTTPDATE": ["10/Oct/2000:13:55:36 -0700"],
    "SYSLOGTIMESTAMP": ["Oct 11 22:14:15", "Oct  1 02:14:15"],
    "DATE_EU": ["31.12.2026", "1/2/26"],
    "DATESTAMP": ["12/31/2026 23:59:60"],
    "DAY": ["Mon", "Tuesday"],
    "LOGLEVEL": ["INFO", "warning", "Error", "CRITICAL"],
    "PROG": ["kernel", "postfix/smtpd"],
}
OTHERS = {
    "INT": ["1.5", "x"],
    "IPV4": ["256.1.1.1", "1.2.3"],
    "UUID": ["550e8400"],
    "MONTH": ["Foo"],
    "HOUR": ["24"],
    "HTTPDATE": ["2000-10-10"],
    "LOGLEVEL": ["hello"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in MATCHES.items() for text in texts])
def test_matches(name, text):
    assert find(f"%{{{name}:found}}", text) == {"found": text}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in OTHERS.items() for text in texts])
def test_does_not_match(name, text):
    assert find(f"%{{{name}:found}}", text) is None


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_runs_in_linear_time(name):
    """Rust's engine, which has no other patterns, takes them all."""
    find(f"%{{{name}:x}}", "")


def test_a_line_of_apache():
    line = (
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326 '
        '"http://example.org/start" "Mozilla/4.08 [en]"'
    )
    found = find("%{COMBINEDAPACHELOG}", line)
    assert found["clientip"] == "127.0.0.1"
    assert found["response"] == "200"
    assert found["agent"] == '"Mozilla/4.08 [en]"'
    types = expand("%{COMBINEDAPACHELOG} %{NUMBER:took:float}").types
    assert (types["response"], types["took"], types["verb"]) == ("int", "float", "string")


@pytest.mark.parametrize(
    ("expression", "message", "cure"),
    [
        ("%{NUMBR:x}", "no pattern NUMBR", "did you mean NUMBER?"),
        ("%{XQZJ:x}", "no pattern XQZJ", "lists them"),
        ("%{NUMBER:x:double}", "%{NUMBER:x:double} is no reference", "%{NAME:column:int}"),
        ("%{NUMBER}", "names no column", "%{NAME:column}"),
        ("plain", "names no column", "%{NAME:column}"),
        ("%{INT:x} %{INT:x}", "'x' is named twice", "a name of its own"),
    ],
)
def test_expressions_that_mean_nothing(expression, message, cure):
    with pytest.raises(GrokError) as caught:
        expand(expression)
    assert message in str(caught.value)
    assert cure in caught.value.cure
