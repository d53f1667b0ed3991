import socket
import time

import pytest

from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.storage import http
from runwright_components.storage.http import Request, download, inspect


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.01)


def get(tmp_path, url, *, headers=None, timeout=5.0, max_bytes=1 << 20):
    target = tmp_path / "content"
    download(Request(url, headers or {}, timeout), target, on_bytes=lambda _size, _total: None, max_bytes=max_bytes)
    return target.read_bytes()


def refusal(tmp_path, url, **options):
    with pytest.raises(StageError) as caught:
        get(tmp_path, url, **options)
    assert list(tmp_path.iterdir()) == []
    assert caught.value.cure
    return caught.value


def test_progress_counts_bytes(tmp_path, web):
    seen = []
    url = web.serve("/a", b"x" * 600_000, Content_Type="text/csv; charset=utf-8", ETag='"1"')
    facts = download(Request(url), tmp_path / "a", on_bytes=lambda size, total: seen.append((size, total)))
    assert sum(size for size, _ in seen) == 600_000
    assert {total for _, total in seen} == {600_000}
    assert (facts.content_type, facts.etag, facts.length) == ("text/csv", '"1"', 600_000)


@pytest.mark.parametrize(
    ("status", "reason", "asked"),
    [
        (404, Reason.SOURCE_NOT_FOUND, 1),
        (401, Reason.SOURCE_DENIED, 1),
        (403, Reason.SOURCE_DENIED, 1),
        (429, Reason.SOURCE_UNAVAILABLE, 3),
        (500, Reason.SOURCE_UNAVAILABLE, 3),
        (503, Reason.SOURCE_UNAVAILABLE, 3),
    ],
)
def test_statuses(tmp_path, web, status, reason, asked):
    web.answers["/a"] = web.status(status)
    error = refusal(tmp_path, web.url + "/a")
    assert error.reason is reason
    assert str(status) in error.message
    assert error.where == web.url + "/a"
    assert len(web.seen) == asked


def test_a_passing_trouble_is_tried_again(tmp_path, web):
    answers = iter([web.status(503), web.status(200, b"content")])
    web.answers["/a"] = lambda handler: next(answers)(handler)
    assert get(tmp_path, web.url + "/a") == b"content"


def test_no_answer_in_time(tmp_path, web):
    web.answers["/a"] = lambda _handler: time.sleep(1)
    error = refusal(tmp_path, web.url + "/a", timeout=0.1)
    assert error.reason is Reason.SOURCE_UNAVAILABLE
    assert error.exit_code is ExitCode.TRANSIENT
    assert "no answer within 0.1 s" in error.message


def test_body_stalls(tmp_path, web):
    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.wfile.flush()
        time.sleep(1)

    web.answers["/a"] = stall
    assert "no answer within" in refusal(tmp_path, web.url + "/a", timeout=0.1).message


def test_connection_refused(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = refusal(tmp_path, f"http://127.0.0.1:{port}/a")
    assert error.reason is Reason.SOURCE_UNAVAILABLE
    assert "refused" in error.message


def test_truncated_body(tmp_path, web):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")

    web.answers["/a"] = cut
    error = refusal(tmp_path, web.url + "/a")
    assert error.reason is Reason.SOURCE_UNAVAILABLE
    assert "cut short" in error.message


@pytest.mark.parametrize("announced", [True, False])
def test_too_large(tmp_path, web, announced):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x" * 5000)

    url = web.serve("/a", b"x" * 5000)
    if not announced:
        web.answers["/a"] = endless
    assert "larger than 1,000 bytes" in refusal(tmp_path, url, max_bytes=1000).message


def test_larger_than_the_disk(tmp_path, web):
    def huge(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 60))
        handler.end_headers()

    web.answers["/a"] = huge
    assert refusal(tmp_path, web.url + "/a", max_bytes=1 << 62).reason is Reason.STORAGE_FULL


def test_redirects_are_followed_and_bounded(tmp_path, web):
    web.serve("/end", b"content")
    web.redirect("/2", "/end")
    assert get(tmp_path, web.redirect("/1", "/2")) == b"content"
    (tmp_path / "content").unlink()
    for hop in range(6):
        web.redirect(f"/hop{hop}", f"/hop{hop + 1}")
    error = refusal(tmp_path, web.url + "/hop0")
    assert "more than 5 redirects" in error.message


def test_redirects_in_a_circle_are_followed_once(tmp_path, web):
    web.redirect("/back", "/forth")
    error = refusal(tmp_path, web.redirect("/forth", "/back"))
    assert error.message == "the redirects go in a circle"
    assert len(web.seen) == 2 * http.ATTEMPTS


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"])
def test_redirects_elsewhere_are_refused(tmp_path, web, target):
    error = refusal(tmp_path, web.redirect("/a", target))
    assert error.reason is Reason.SOURCE_DENIED


def test_credentials_stay_with_their_origin(tmp_path, web, other_web):
    """A redirect to another host, port or scheme carries neither headers nor user and password."""
    end = other_web.serve("/end", b"content").replace("http://", "http://evil:evil@")
    web.redirect("/2", end)
    web.redirect("/1", "/2")
    url = f"http://user:password@127.0.0.1:{web.port}/1"
    assert get(tmp_path, url, headers={"PRIVATE-TOKEN": "secret"}) == b"content"
    for _, _, headers in web.seen:
        assert headers["private-token"] == "secret"
        assert "authorization" in headers
    ((_, _, headers),) = other_web.seen
    assert "private-token" not in headers
    assert "authorization" not in headers


def test_nothing_secret_in_errors_and_logs(tmp_path, web, caplog):
    caplog.set_level(0)
    url = f"http://user:s3cr3t@127.0.0.1:{web.port}/a?token=s3cr3t#s3cr3t"
    error = refusal(tmp_path, url, headers={"Authorization": "s3cr3t"})
    assert "s3cr3t" not in error.to_json()
    assert "s3cr3t" not in caplog.text
    assert "s3cr3t" not in repr(Request("http://h/", {"Authorization": "s3cr3t"}))


@pytest.mark.parametrize("url", ["http://", "http://[bad/x", "http://host:99999/x"])
def test_unusable_addresses(tmp_path, url):
    assert refusal(tmp_path, url).reason is Reason.INVALID_CONFIG


def test_unusable_header(tmp_path, web):
    error = refusal(tmp_path, web.serve("/a", b"x"), headers={"X-Token": "line\nfeed"})
    assert error.reason is Reason.INVALID_CONFIG


def test_inspect_reads_no_body(web):
    url = web.serve("/a", b"x" * 1000, Last_Modified="Sat, 21 Nov 2026 10:00:00 GMT")
    facts = inspect(Request(url))
    assert facts.last_modified == "Sat, 21 Nov 2026 10:00:00 GMT"
    assert [method for method, _, _ in web.seen] == ["HEAD"]
