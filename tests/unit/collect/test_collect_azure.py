"""Sources in Azure Blob Storage, read from Azurite."""

import socket

import obstore
import pytest

from runwright_components.collect import fingerprint
from runwright_components.contract.outcome import ExitCode, Reason
from tests.emulators.azurite import azurite
from tests.machine import unable

CSV = b"a,b\n1,2\n3,4\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    try:
        with azurite(tmp_path_factory.mktemp("azurite")) as running:
            running.make_container("data")
            for key, content in {
                "x/1.csv": b"a\n1\n",
                "x/deep/2.csv": b"a\n2\n",
                "x/.hidden.csv": b"a\n9\n",
                "xy/3.csv": b"a\n3\n",
                "bad.csv": b"a,b\n1,2\n3\n",
            }.items():
                obstore.put(running.container("data"), key, content)
            yield running
    except RuntimeError as error:
        unable(str(error))


@pytest.fixture
def options(server, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.key)
    return {"account": server.account, "endpoint": server.endpoint}


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
def test_blob_prefix_and_pattern(workplace, options, key, rows):
    manifest = workplace.collect(f"az://data/{key}", **options)
    assert [row["a"] for row in workplace.rows(manifest)] == rows
    assert manifest.sources[0].uri == f"az://data/{key}"


def test_account_and_endpoint_of_the_environment(workplace, server, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", server.account)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.key)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", server.endpoint)
    assert workplace.collect("az://data/x/").rows == 2


def test_a_large_blob_comes_whole(workplace, server, options):
    content = b"a,b\n" + b"1,2\n" * 3_000_000  # 12 MB, several pieces
    obstore.put(server.container("data"), "large.csv", content)
    manifest = workplace.collect("az://data/large.csv", **options)
    assert (manifest.rows, manifest.sources[0].bytes) == (3_000_000, len(content))


def test_the_fingerprint_follows_the_etag(workplace, server, options):
    container = server.container("data")
    obstore.put(container, "f/a.csv", CSV)
    config = workplace.config("az://data/f/", **options)
    first = fingerprint(config)
    assert fingerprint(config) == first
    obstore.put(container, "f/a.csv", CSV[:-4] + b"5,6\n")  # of the same size
    assert fingerprint(config) != first


def test_an_error_of_the_rows_names_the_blob(workplace, options):
    assert workplace.refusal("az://data/bad.csv", **options).where == "az://data/bad.csv, line 3"


@pytest.mark.parametrize(
    ("uri", "said"),
    [("az://data/none/", "no object has this key"), ("az://nowhere/x/", "ContainerNotFound")],
)
def test_what_is_not_there(workplace, options, uri, said):
    error = workplace.refusal(uri, **options)
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert said in error.message
    assert error.where == uri


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmcga2V5", "the server answered 403"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "s3cr3t, not base64", "the credentials cannot be used"),
        ("AZURE_STORAGE_SAS_TOKEN", "sv=2021-08-06&se=2026-01-01&sp=r&sig=s3cr3t", "the server answered 403"),
        ("AZURE_SKIP_SIGNATURE", "true", "the server answered 403"),
    ],
    ids=["wrong key", "no key", "wrong token", "container is not public"],
)
def test_wrong_credentials(workplace, options, monkeypatch, name, value, said):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv(name, value)
    error = workplace.refusal("az://data/x/", **options)
    assert error.reason is Reason.SOURCE_DENIED
    assert said in error.message
    assert "AZURE_STORAGE_ACCOUNT_KEY" in error.cure
    assert "s3cr3t" not in error.to_json()


def test_no_account(workplace, options):
    error = workplace.refusal("az://data/x/", endpoint=options["endpoint"])
    assert error.reason is Reason.INVALID_CONFIG
    assert error.cure == "set azure.account, or AZURE_STORAGE_ACCOUNT_NAME"


def test_the_server_is_away(workplace, options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {**options, "endpoint": f"http://127.0.0.1:{port}/account", "timeout_seconds": 0.2}
    error = workplace.refusal("az://data/x/", **place)
    assert error.exit_code is ExitCode.TRANSIENT
    assert error.where == "az://data/x/"
