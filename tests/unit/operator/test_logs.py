"""Logs: one object a line, the run's key, no secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from runwright_operator import logs
from runwright_operator.resources import Key


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("kopf.objects", "asyncio", "aiohttp.access")}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def test_a_line_is_an_object_and_names_the_run(stream: io.StringIO) -> None:
    logs.set_up("info", "auto", stream)
    with logs.about(Key("n", "penguins")):
        logging.getLogger("x").info("revision %d\nbegan", 1)
    logging.getLogger("x").info("idle")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["run"] == "n/penguins"
    assert (first["level"], first["logger"], first["message"]) == ("info", "x", "revision 1\nbegan")
    assert "run" not in second


def test_kopf_speaks_the_same_language(stream: io.StringIO) -> None:
    logs.set_up("info", "json", stream)
    logger = logging.getLogger("kopf.objects")
    reference = {"namespace": "n", "name": "a"}
    logger.info("Handler 'x' succeeded.", extra={"k8s_ref": reference})
    logger.error("boom", extra={"k8s_ref": reference})
    logging.getLogger("kopf._core").warning("OS signals are ignored: running not in the main thread.")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["run"] == "n/a"


def test_text_is_for_people(stream: io.StringIO) -> None:
    logs.set_up("info", "text", stream)
    with logs.about(Key("n", "penguins")):
        logging.getLogger("x").warning("slow")
    assert stream.getvalue().endswith(" WARN n/penguins: slow\n")


def test_a_line_with_wrong_arguments_is_still_a_line(stream: io.StringIO) -> None:
    logs.set_up("info", "json", stream)
    logging.getLogger("x").info("%d %d", "one")
    assert json.loads(stream.getvalue())["message"] == "%d %d"


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer hunter2hunter2",
        "{'Authorization': 'Bearer hunter2hunter2'}",
        '{"authorization": "Basic hunter2hunter2=="}',
        "got bearer hunter2hunter2",
        "token=hunter2hunter2 and so on",
        '"aws_secret_access_key": "hunter2hunter2"',
        "password: hunter2hunter2",
        "postgres://user:hunter2hunter2@db/x",
        "GET https://bucket.example/key?X-Amz-Signature=hunter2hunter2&y=1",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJodW50ZXIyIn0.hunter2hunter2",
    ],
)
def test_secrets_are_hidden_in_messages_and_traces(line: str, stream: io.StringIO) -> None:
    logs.set_up("info", "json", stream)
    try:
        raise ValueError(line)
    except ValueError:
        logging.getLogger("x").exception("%s", line)
    assert "hunter2" not in stream.getvalue()


def test_ordinary_lines_stay_as_they_are() -> None:
    for line in (
        "could not renew the lease n/operator: no answer to patch leases in time",
        "the secret of success",
        "GET https://10.0.0.1:443/api/v1/pods -> 500",
        "SecretNotFound: the Secret minio is missing in n",
    ):
        assert logs.redact(line) == line
