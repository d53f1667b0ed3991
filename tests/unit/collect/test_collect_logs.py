"""Log files: layouts, patterns and grok, rotated files, lines that do not match, expressions that explode."""

import gzip

import pytest

from runwright_components.collect import limits
from runwright_components.collect.compressed import content_now
from runwright_components.collect.files import SourceFile
from runwright_components.collect.logs import in_time_order
from runwright_components.contract.config import LogConfig
from runwright_components.contract.outcome import Reason

COMMON = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326'
COMBINED = COMMON + ' "http://example.org/start" "Mozilla/4.08 [en] \\"quoted\\" 🦜"'
FOUND = {
    "client": "127.0.0.1",
    "ident": None,
    "user": "frank",
    "time": "2000-10-10T20:55:36Z",
    "method": "GET",
    "path": "/a.gif",
    "protocol": "HTTP/1.0",
    "status": 200,
    "bytes": 2326,
}
AGENT = {"referer": "http://example.org/start", "agent": 'Mozilla/4.08 [en] \\"quoted\\" 🦜'}


def read(workplace, uri="a.log", **how):
    return workplace.rows(workplace.collect(uri, logs=LogConfig(**how)))


@pytest.mark.parametrize(
    ("layout", "line", "row"),
    [
        ("common", COMMON, FOUND),
        ("combined", COMBINED, FOUND | AGENT),
        ("nginx", COMBINED, FOUND | AGENT | {"forwarded": None}),
        ("nginx", COMBINED + ' "10.0.0.1, 10.0.0.2"', FOUND | AGENT | {"forwarded": "10.0.0.1, 10.0.0.2"}),
        (
            "combined",
            '::1 - - [01/Jan/2026:00:00:00 +0000] "\\x16\\x03" 400 - "-" "-"',
            dict.fromkeys(FOUND | AGENT) | {"client": "::1", "time": "2026-01-01T00:00:00Z", "status": 400},
        ),
        (
            "syslog",
            "<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed",
            {
                "priority": 34,
                "time": "Oct 11 22:14:15",
                "host": "mymachine",
                "program": "su",
                "pid": 12,
                "message": "'su root' failed",
            },
        ),
        (
            "syslog",
            '<165>1 2003-10-11T22:14:15.003Z host app 42 ID47 [x@1 a="b c\\]"][y] an event',
            {
                "priority": 165,
                "time": "2003-10-11T22:14:15.003Z",
                "host": "host",
                "program": "app",
                "pid": 42,
                "message": "an event",
            },
        ),
        (
            "syslog",
            "2026-05-01T12:00:00.1+02:00 host kernel: up",
            {
                "priority": None,
                "time": "2026-05-01T12:00:00.1+02:00",
                "host": "host",
                "program": "kernel",
                "pid": None,
                "message": "up",
            },
        ),
    ],
)
def test_layouts(workplace, layout, line, row):
    workplace.write({"a.log": f"{line}\r\n\n{line}"})
    assert read(workplace, layout=layout) == [row, row]


def test_objects(workplace):
    workplace.write({"a.log": '{"level":"info","ms":3}\n\n{"level":"warn","ms":4.5,"user":"ü"}\nnot JSON\n'})
    rows = read(workplace, layout="json", max_unmatched=0.5)
    assert rows == [{"level": "info", "ms": 3.0, "user": None}, {"level": "warn", "ms": 4.5, "user": "ü"}]
    (warning,) = [event.message for event in workplace.events if event.kind == "warning"]
    assert "1 of 3 lines (33.33%) do not match the layout json" in warning
    assert warning.endswith("a.log, line 4")


def test_a_pattern_and_grok(workplace):
    workplace.write({"a.log": "GET /a took 12 ms\nPUT /b took 7.5 ms\n"})
    assert read(workplace, pattern=r"^(?P<verb>\w+) (?P<path>\S+) took (?P<ms>[\d.]+)|(?P<other>x)") == [
        {"verb": "GET", "path": "/a", "ms": "12", "other": None},
        {"verb": "PUT", "path": "/b", "ms": "7.5", "other": None},
    ]
    workplace.out = workplace.out.with_name("grok")
    assert read(workplace, grok="%{WORD:verb} %{PATH:path} took %{NUMBER:ms:float} ms") == [
        {"verb": "GET", "path": "/a", "ms": 12.0},
        {"verb": "PUT", "path": "/b", "ms": 7.5},
    ]


def test_rotated_files_in_order_of_time(workplace):
    lines = {"app.log": "5\n", "app.log.1": "4\n", "app.log.2.gz": gzip.compress(b"3\n"), "app.log.10": "1\n"}
    workplace.write({f"logs/{name}": content for name, content in lines.items()})
    workplace.write({"logs/app.log.9.gz": gzip.compress(b"2\n"), "logs/.hidden": "0\n"})
    assert [row["n"] for row in read(workplace, "logs", pattern=r"(?P<n>\d+)")] == ["1", "2", "3", "4", "5"]
    workplace.out = workplace.out.with_name("glob")
    assert [row["n"] for row in read(workplace, "logs/app.log.?", pattern=r"(?P<n>\d+)")] == ["4"]


def test_the_order_of_names():
    ordered = [
        "access.log-20251231.gz",
        "access.log-20260101",
        "access.log.2",
        "access.log.1",
        "access.log",
        "error.log.2026-01-01",
        "error.log.2026-01-02.1",
        "error.log.2026-01-02",
        "error.log",
    ]
    files = [SourceFile(name, None, name) for name in sorted(ordered)]
    assert [file.name for file in in_time_order(files)] == ordered


def test_few_lines_that_do_not_match_are_told(workplace):
    workplace.write({"logs/a.log": f"{COMMON}\n" * 30, "logs/b.log": f"{COMMON}\nwhat?\n{COMMON}\n"})
    assert len(read(workplace, "logs", layout="common")) == 32
    (warning,) = [event.message for event in workplace.events if event.kind == "warning"]
    assert "1 of 33 lines (3.03%) do not match the layout common" in warning
    assert warning.endswith("b.log, line 2")


@pytest.mark.parametrize(
    ("how", "what"),
    [({"layout": "common"}, "layout common"), ({"layout": "json"}, "layout json"), ({"grok": "%{MAC:x}"}, "grok")],
)
def test_many_lines_that_do_not_match(workplace, how, what):
    workplace.write({"a.log": "\n\nwhat?\nno\n"})
    error = workplace.refusal("a.log", logs=LogConfig(**how, max_unmatched=0.5))
    assert error.reason is Reason.DATA_INVALID
    assert error.message.startswith(f"2 of 2 lines (100.00%) do not match the {what}")
    assert error.where.endswith("a.log, line 3")
    assert "maxUnmatched" in error.cure


@pytest.mark.parametrize("content", ["", "\n\r\n  \n"])
@pytest.mark.parametrize("how", [{"layout": "common"}, {"layout": "json"}])
def test_no_line(workplace, content, how):
    workplace.write({"a.log": content})
    assert "hold no line" in workplace.refusal("a.log", logs=LogConfig(**how)).message


@pytest.mark.parametrize(
    ("how", "message", "cure"),
    [
        ({"pattern": "(?=a)(?P<x>b)"}, "look-around", "without look-around"),
        ({"pattern": r"(?P<x>a)\1"}, "backreferences", "without look-around"),
        ({"pattern": "(?P<x>a"}, "unclosed group", "without look-around"),
        ({"pattern": "(?P<x>a{1000}){1000}"}, "exceeds size limit", "without look-around"),
        ({"grok": "%{IPS:x}"}, "no pattern IPS", "did you mean"),
    ],
)
def test_expressions_that_are_refused(workplace, how, message, cure):
    workplace.write({"a.log": "a\n"})
    error = workplace.refusal("a.log", logs=LogConfig(**how))
    assert error.reason is Reason.INVALID_CONFIG
    assert error.where == "data.sources[source-0].logs"
    assert message in error.message
    assert cure in error.cure


def test_an_expression_that_explodes_elsewhere(workplace):
    """(a+)+$ needs 2^n steps of an engine that goes back; here each line takes a moment."""
    workplace.write({"a.log": "a" * 5000 + "!\n" + "aa\n"})
    assert read(workplace, pattern="^(?P<x>(a+)+)$", max_unmatched=0.5) == [{"x": "aa"}]


def test_bytes_that_are_not_utf8_become_marks(workplace):
    workplace.write({"a.log": b"GET \xff\xfe\n" + "GET ü\n".encode()})
    assert [row["x"] for row in read(workplace, pattern="GET (?P<x>.*)")] == ["��", "ü"]


def test_a_long_line(workplace, monkeypatch):
    monkeypatch.setattr(limits, "MAX_RECORD", 1000)
    monkeypatch.setattr("runwright_components.collect.logs.CHUNK", 512)
    workplace.write({"a.log": "ok\n" * 3 + "x" * 5000 + "\nok\n"})
    error = workplace.refusal("a.log", logs=LogConfig(pattern="(?P<x>.)"))
    assert "a line of more than 1,000 bytes" in error.message
    assert error.where.endswith("a.log, line 4")


def test_a_log_that_grows_is_read_as_it_was(workplace):
    workplace.write({"a.log": "1\n2\n"})
    path = workplace.sources / "a.log"
    with content_now(SourceFile("a.log", path, "a.log")) as reader:
        with path.open("a") as log:
            log.write("3\n")
        assert reader.read(100) + reader.read(100) == b"1\n2\n"


def test_one_line_more_is_another_digest(workplace):
    workplace.write({"a.log": "1\n"})
    first = workplace.collect("a.log", logs=LogConfig(pattern=r"(?P<n>\d)")).digest
    workplace.out = workplace.out.with_name("again")
    assert workplace.collect("a.log", logs=LogConfig(pattern=r"(?P<n>\d)")).digest == first
    workplace.out = workplace.out.with_name("other")
    assert workplace.collect("a.log", logs=LogConfig(pattern=r"(?P<m>\d)")).digest != first
    workplace.write({"a.log": "1\n2\n"})
    workplace.out = workplace.out.with_name("more")
    assert workplace.collect("a.log", logs=LogConfig(pattern=r"(?P<n>\d)")).digest != first


def test_logs_in_object_storage(workplace, object_storage):
    object_storage.put("logs/web/app.log.1.gz", gzip.compress(b"1\n"))
    object_storage.put("logs/web/app.log", b"2\n")
    config = LogConfig(pattern=r"(?P<n>\d)")
    manifest = workplace.collect(f"{object_storage.uri}/logs/web/", endpoint=object_storage.endpoint, logs=config)
    assert [row["n"] for row in workplace.rows(manifest)] == ["1", "2"]
