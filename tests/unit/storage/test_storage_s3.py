import socket

import pytest

from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.storage.addresses import S3Address, public_url
from runwright_components.storage.s3 import Bucket


@pytest.fixture
def bucket(object_storage):
    return Bucket(object_storage.bucket, endpoint=object_storage.endpoint, region=None)


def test_round_trip_of_files_of_several_parts(bucket, tmp_path):
    content = bytes(range(256)) * 50_000  # 12.8 MB
    (tmp_path / "up").write_bytes(content)
    bucket.upload(tmp_path / "up", "folder/object")
    counted = []
    bucket.download("folder/object", tmp_path / "down", on_bytes=counted.append)
    assert (tmp_path / "down").read_bytes() == content
    assert sum(counted) == len(content)
    info = bucket.info("folder/object")
    assert info is not None
    assert info.size == len(content)


def test_create_never_overwrites(bucket):
    assert bucket.create("a", b"first")
    assert not bucket.create("a", b"second")
    assert bucket.read("a") == b"first"


def test_create_on_a_server_without_conditional_put(object_storage, web):
    """Such a server answers 501; then a look comes first."""
    web.answers["/old/there"] = lambda handler: (
        web.status(200, Last_Modified="Sat, 21 Nov 2026 10:00:00 GMT", ETag='"1"')
        if handler.command == "HEAD"
        else web.status(501)
    )(handler)
    assert not Bucket("old", endpoint=web.url, region=None).create("there", b"x")


def test_lists(bucket):
    for key in ("x/2/b", "x/1/a", "x/top", "xy/other"):
        bucket.write(key, b"1")
    assert [info.key for info in bucket.objects("x")] == ["x/1/a", "x/2/b", "x/top"]
    assert bucket.folders("x") == ["1", "2"]
    bucket.delete(["x/1/a", "x/2/b"])
    assert [info.key for info in bucket.objects("x")] == ["x/top"]
    assert bucket.info("x/1/a") is None


def test_unreachable(object_storage):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StageError) as caught:
        Bucket("some-bucket", endpoint=f"http://127.0.0.1:{port}", region=None, timeout=1).read("a")
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert caught.value.exit_code is ExitCode.TRANSIENT
    assert caught.value.where == "s3://some-bucket/a"


def test_endpoint_of_the_environment(object_storage, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)
    bucket = Bucket(object_storage.bucket, endpoint=None, region=None)
    bucket.write("a", b"1")
    assert object_storage.stored() == ["a"]


@pytest.mark.parametrize("uri", ["s3://", "s3:///key", "http://bucket/key", "s3://key:secret@bucket/x"])
def test_no_address(uri):
    with pytest.raises(StageError) as caught:
        S3Address.parse(uri)
    assert "secret" not in str(caught.value)


def test_addresses():
    assert S3Address.parse("s3://bucket/a/b.csv") == S3Address("bucket", "a/b.csv")
    assert str(S3Address.parse("s3://bucket")) == "s3://bucket/"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:password@host:8443/a/b.csv?sig=1#x", "https://host:8443/a/b.csv"),
        ("https://host/a", "https://host/a"),
        ("data/a.csv", "data/a.csv"),
    ],
)
def test_public_url(url, shown):
    assert public_url(url) == shown


def test_the_runs_own_storage_has_keys_beside_those_of_a_source(web, monkeypatch):
    asked = []

    def answer(handler):
        asked.append(handler.headers["Authorization"])
        web.status(404)(handler)

    web.answers["/bucket/a"] = answer
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OF-A-SOURCE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("OWN_AWS_ACCESS_KEY_ID", "OF-THE-STORAGE")
    monkeypatch.setenv("OWN_AWS_SECRET_ACCESS_KEY", "another")
    for prefix in ("", "OWN_", "UNSET_"):
        bucket = Bucket("bucket", endpoint=web.url, region=None, prefix=prefix)
        with pytest.raises(StageError):
            bucket.read("a")
    keys = [text.partition("Credential=")[2].partition("/")[0] for text in asked]
    assert keys == ["OF-A-SOURCE", "OF-THE-STORAGE", "OF-A-SOURCE"]
