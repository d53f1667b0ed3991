"""Sources in Google Cloud Storage, read from fake-gcs-server; what it cannot do, from answers of Google's form."""

import json
import socket

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from runwright_components.collect import fingerprint
from runwright_components.contract.outcome import ExitCode, Reason
from tests.emulators.gcs import SERVICE_ACCOUNT_KEY, fake_gcs_server
from tests.machine import unable

CSV = b"a,b\n1,2\n3,4\n"
KEY = "GOOGLE_SERVICE_ACCOUNT_KEY"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    try:
        with fake_gcs_server(tmp_path_factory.mktemp("gcs")) as running:
            running.make_bucket("data")
            for key, content in {
                "x/1.csv": b"a\n1\n",
                "x/deep/2.csv": b"a\n2\n",
                "x/.hidden.csv": b"a\n9\n",
                "xy/3.csv": b"a\n3\n",
                "bad.csv": b"a,b\n1,2\n3\n",
            }.items():
                running.put("data", key, content)
            yield running
    except RuntimeError as error:
        unable(str(error))


@pytest.fixture
def options(server, monkeypatch):
    monkeypatch.setenv(KEY, SERVICE_ACCOUNT_KEY)
    return {"endpoint": server.endpoint}


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ("x/1.csv", ["1"]),
        ("x", ["1", "2"]),
        ("x/", ["1", "2"]),
        ("x/*.csv", ["1"]),
        ("x/**/*.csv", ["1", "2"]),
        ("*/[13].csv", ["1", "3"]),
    ],
)
def test_object_prefix_and_pattern(workplace, options, key, rows):
    manifest = workplace.collect(f"gs://data/{key}", **options)
    assert [row["a"] for row in workplace.rows(manifest)] == rows
    assert manifest.sources[0].uri == f"gs://data/{key}"


def test_the_endpoint_of_the_environment(workplace, server, options, monkeypatch):
    monkeypatch.setenv("GOOGLE_BASE_URL", server.endpoint)
    assert workplace.collect("gs://data/x/").rows == 2


def test_a_large_object_comes_whole(workplace, server, options):
    content = b"a,b\n" + b"1,2\n" * 3_000_000  # 12 MB, several pieces
    server.put("data", "large.csv", content)
    manifest = workplace.collect("gs://data/large.csv", **options)
    assert (manifest.rows, manifest.sources[0].bytes) == (3_000_000, len(content))


def test_the_fingerprint_follows_the_etag(workplace, server, options):
    server.put("data", "f/a.csv", CSV)
    config = workplace.config("gs://data/f/", **options)
    first = fingerprint(config)
    assert fingerprint(config) == first
    server.put("data", "f/a.csv", CSV[:-4] + b"5,6\n")  # of the same size
    assert fingerprint(config) != first


def test_an_error_of_the_rows_names_the_object(workplace, options):
    assert workplace.refusal("gs://data/bad.csv", **options).where == "gs://data/bad.csv, line 3"


def test_nothing_under_a_prefix(workplace, options):
    error = workplace.refusal("gs://data/none/", **options)
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert error.where == "gs://data/none/"


@pytest.mark.parametrize(
    ("status", "code", "reason", "cure"),
    [
        (404, "NoSuchBucket", Reason.SOURCE_NOT_FOUND, "check bucket and key"),
        (403, "AccessDenied", Reason.SOURCE_DENIED, "Storage Object Viewer"),
        (401, "AuthenticationRequired", Reason.SOURCE_DENIED, KEY),
    ],
)
def test_googles_refusals(workplace, web, options, status, code, reason, cure):
    """The emulator knows no rights, and calls a missing bucket an error of its own; these are Google's answers."""
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>no</Message></Error>"
    web.answers["/closed"] = web.status(status, body.encode())
    error = workplace.refusal("gs://closed/x/", endpoint=web.url)
    assert (error.reason, error.where) == (reason, "gs://closed/x/")
    assert f"{status} {code}" in error.message
    assert cure in error.cure


def test_the_key_of_a_service_account_signs_each_request(workplace, web, monkeypatch):
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {"type": "service_account", "client_email": "reader@example.iam", "private_key_id": "1"}
    monkeypatch.setenv(KEY, json.dumps({**key, "private_key": private.decode()}))
    web.answers["/data/rows"] = web.status(
        200, CSV, **{"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
    )
    assert workplace.collect("gs://data/rows", endpoint=web.url, format="csv").rows == 2
    assert all(headers["authorization"].startswith("Bearer ey") for _, _, headers in web.seen)


@pytest.mark.parametrize("key", ["s3cr3t, no JSON", "{}", '{"private_key": "s3cr3t"}'])
def test_a_key_that_cannot_be_used(workplace, options, monkeypatch, key):
    monkeypatch.setenv(KEY, key)
    error = workplace.refusal("gs://data/x/", **options)
    assert error.reason is Reason.SOURCE_DENIED
    assert "the credentials cannot be used" in error.message
    assert KEY in error.cure
    assert "s3cr3t" not in error.to_json()


def test_the_server_is_away(workplace, options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = workplace.refusal("gs://data/x/", endpoint=f"http://127.0.0.1:{port}", timeout_seconds=0.2)
    assert error.exit_code is ExitCode.TRANSIENT
    assert error.where == "gs://data/x/"
