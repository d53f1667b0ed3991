import gzip
import io

import polars as pl
import pytest
from PIL import Image

from runwright_components.collect import fingerprint
from runwright_components.contract.outcome import Reason
from runwright_components.storage import http

CSV = b"a,b\n1,2\n3,4\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.01)


def test_http_csv(workplace, web):
    url = web.serve("/data/a.csv", CSV)
    manifest = workplace.collect(url)
    assert manifest.rows == 2
    assert manifest.sources[0].uri == url
    assert any(event.message == "download source-0" for event in workplace.events)


def test_digest_is_that_of_the_same_file_at_home(workplace, web, object_storage):
    workplace.write({"a.csv": CSV})
    local = workplace.collect("a.csv").digest
    workplace.out = workplace.out.with_name("http")
    assert workplace.collect(web.serve("/x/a.csv", CSV)).digest == local
    workplace.out = workplace.out.with_name("s3")
    object_storage.put("x/a.csv", CSV)
    assert workplace.collect(f"{object_storage.uri}/x/a.csv", endpoint=object_storage.endpoint).digest == local


def test_http_format_by_content_type(workplace, web):
    manifest = workplace.collect(web.serve("/export", b'{"a":1}\n', Content_Type="application/x-ndjson; charset=utf-8"))
    assert manifest.sources[0].format == "jsonl"


def test_http_parquet_and_gzip(workplace, web):
    content = io.BytesIO()
    pl.DataFrame({"a": [1]}).write_parquet(content)
    assert workplace.collect(web.serve("/a.parquet", content.getvalue())).rows == 1
    workplace.out = workplace.out.with_name("gzip")
    assert workplace.collect(web.serve("/a.csv.gz", gzip.compress(CSV))).rows == 2


def test_http_secrets_stay_out_of_manifest_and_messages(workplace, web, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cr3t-header")
    web.serve("/a.csv", CSV)
    url = f"http://user:s3cr3t-password@127.0.0.1:{web.port}/a.csv?signature=s3cr3t-query"
    manifest = workplace.collect(url, headers_env={"X-Token": "TOKEN"})
    _, path, headers = web.seen[-1]
    assert path == "/a.csv?signature=s3cr3t-query"
    assert headers["x-token"] == "s3cr3t-header"
    assert headers["authorization"].startswith("Basic ")
    assert "s3cr3t" not in manifest.model_dump_json()
    assert "s3cr3t" not in str(workplace.events)
    web.answers.clear()
    workplace.out = workplace.out.parent.parent / "second" / "raw"
    error = workplace.refusal(url, headers_env={"X-Token": "TOKEN"})
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "s3cr3t" not in error.to_json()


def test_missing_environment_of_a_header(workplace, web):
    error = workplace.refusal(web.serve("/a.csv", CSV), headers_env={"Authorization": "NOT_SET_ANYWHERE"})
    assert "NOT_SET_ANYWHERE" in error.message


def test_html_instead_of_data(workplace, web):
    url = web.serve("/a.csv", b"<html>log in, please</html>", Content_Type="text/html")
    assert "HTML" in workplace.refusal(url).message


def test_http_errors_leave_nothing(workplace, web):
    assert workplace.refusal(web.url + "/a.csv").reason is Reason.SOURCE_NOT_FOUND


def test_http_fingerprint(workplace, web):
    config = workplace.config(web.serve("/a.csv", CSV, ETag='"1"'))
    first = fingerprint(config)
    assert fingerprint(config) == first
    web.serve("/a.csv", CSV, ETag='"2"')
    assert fingerprint(config) != first
    web.serve("/a.csv", CSV)
    assert fingerprint(config) != fingerprint(config), "a server that tells nothing may have changed anything"


def test_http_fingerprint_without_head(workplace, web):
    url = web.serve("/a.csv", CSV, ETag='"1"')
    by_get = web.answers["/a.csv"]
    web.answers["/a.csv"] = lambda handler: (web.status(405) if handler.command == "HEAD" else by_get)(handler)
    config = workplace.config(url)
    assert fingerprint(config) == fingerprint(config)


# ---------------------------------------------------------------- S3


def test_s3_object_prefix_and_pattern(workplace, object_storage):
    object_storage.put("data/x/1.csv", b"a\n1\n")
    object_storage.put("data/x/deep/2.csv", b"a\n2\n")
    object_storage.put("data/x/.hidden.csv", b"a\n9\n")
    object_storage.put("data/xy/3.csv", b"a\n3\n")

    def rows(key):
        workplace.out = workplace.out.with_name(f"raw-{key}".replace("/", "-"))
        manifest = workplace.collect(f"{object_storage.uri}/{key}", endpoint=object_storage.endpoint)
        return [row["a"] for row in workplace.rows(manifest)]

    assert rows("data/x/1.csv") == ["1"]
    assert rows("data/x") == rows("data/x/") == ["1", "2"]
    assert rows("data/x/*.csv") == ["1"]
    assert rows("data/x/**/*.csv") == ["1", "2"]
    assert rows("data/*/[13].csv") == ["1", "3"]


def test_s3_images(workplace, object_storage):
    content = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(content, "PNG")
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        object_storage.put(f"pets/{name}", content.getvalue())
    manifest = workplace.collect(f"{object_storage.uri}/pets", endpoint=object_storage.endpoint)
    assert [(row["label"], row["path"]) for row in workplace.rows(manifest)] == [
        ("cat", "cat/1.png"),
        ("cat", "cat/2.png"),
        ("dog", "dog/1.png"),
    ]


def test_s3_error_names_the_object(workplace, object_storage):
    object_storage.put("a.csv", b"a,b\n1,2\n3\n")
    error = workplace.refusal(f"{object_storage.uri}/a.csv", endpoint=object_storage.endpoint)
    assert error.where == f"{object_storage.uri}/a.csv, line 3"


def test_s3_nothing_there(workplace, object_storage):
    error = workplace.refusal(f"{object_storage.uri}/none", endpoint=object_storage.endpoint)
    assert error.reason is Reason.SOURCE_NOT_FOUND
    error = workplace.refusal("s3://no-such-bucket/x/", endpoint=object_storage.endpoint)
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "NoSuchBucket" in error.message


def test_s3_denied(workplace, object_storage, web):
    body = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'
    web.answers["/closed"] = web.answers["/closed/a.csv"] = web.status(403, body)
    for uri in ("s3://closed/a.csv", "s3://closed/x/"):
        error = workplace.refusal(uri, endpoint=web.url)
        assert error.reason is Reason.SOURCE_DENIED
        assert "403" in error.message
        assert "AWS_ACCESS_KEY_ID" in error.cure


@pytest.mark.parametrize("endpoint", ["http://169.254.169.254", "http://[fd00:ec2::254]:80", "http://metadata.goog"])
@pytest.mark.parametrize("uri", ["s3://latest/meta-data/iam/security-credentials/node", "gs://data/x", "az://data/x"])
def test_a_metadata_service_is_no_object_storage(workplace, object_storage, uri, endpoint):
    error = workplace.refusal(uri, endpoint=endpoint, account="acme")
    assert (error.reason, error.where) == (Reason.SOURCE_DENIED, uri)
    assert "metadata service" in error.message


def test_s3_fingerprint(workplace, object_storage):
    object_storage.put("x/a.csv", CSV)
    config = workplace.config(f"{object_storage.uri}/x", endpoint=object_storage.endpoint)
    first = fingerprint(config)
    assert fingerprint(config) == first
    object_storage.put("x/a.csv", CSV + b"5,6\n")
    assert fingerprint(config) != first
