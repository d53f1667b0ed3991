"""What a server may send: bounded in bytes, in pace, and in what it unpacks to. Real answers, on loopback."""

import gzip
import os
import threading
import zlib

import pytest

from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.storage import http, http_body
from runwright_components.storage.http import Request, download

TEXT = b"a,b\n1,2\n" * 1000


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)


def get(tmp_path, url, *, timeout=5.0, max_bytes=1 << 30):
    target = tmp_path / "content"
    download(Request(url, timeout=timeout), target, on_bytes=lambda _size, _total: None, max_bytes=max_bytes)
    return target.read_bytes()


def refusal(tmp_path, url, **options):
    with pytest.raises(StageError) as caught:
        get(tmp_path, url, **options)
    assert list(tmp_path.iterdir()) == []
    assert caught.value.where == url
    assert caught.value.cure
    return caught.value


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(TEXT),
        gzip.compress(TEXT[:3000]) + gzip.compress(TEXT[3000:]),
        gzip.compress(TEXT[: 1 << 12]) + zlib.compress(TEXT[1 << 12 :]),
    ],
    ids=["one", "joined", "gzip and zlib"],
)
def test_a_content_encoding_is_undone(tmp_path, web, packed):
    assert get(tmp_path, web.serve("/a.csv", packed, Content_Encoding="gzip")) == TEXT


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(os.urandom(5000))[:-100], "it ends too early"),
        (b"no gzip at all", "the content's encoding is broken"),
        (b"", "it ends too early"),
    ],
    ids=["truncated", "plain", "empty"],
)
def test_a_broken_content_encoding(tmp_path, web, packed, said):
    error = refusal(tmp_path, web.serve("/a.csv", packed, Content_Encoding="gzip"))
    assert error.reason is Reason.DATA_UNREADABLE
    assert said in error.message


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_encodings_that_nobody_asked_for_are_refused(tmp_path, web, encoding):
    error = refusal(tmp_path, web.serve("/a.csv", gzip.compress(gzip.compress(TEXT)), Content_Encoding=encoding))
    assert encoding in error.message
    assert "identity" in web.seen[0][2]["accept-encoding"]


def test_a_compression_bomb_is_cut_off_early(tmp_path, web, monkeypatch):
    monkeypatch.setattr(http_body, "RATIO_COUNTS_FROM", 1 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    written = []
    target = tmp_path / "content"
    with pytest.raises(StageError) as caught:
        download(
            Request(web.serve("/bomb.csv", bomb, Content_Encoding="gzip")),
            target,
            on_bytes=lambda size, _total: written.append(size),
        )
    assert "a compression bomb" in caught.value.message
    assert sum(written) < 16 << 20
    assert max(written) <= 1 << 18, "never more in memory than a piece"
    assert not target.exists()


def test_what_unpacks_to_much_is_held_to_the_limit_of_bytes(tmp_path, web):
    url = web.serve("/a.csv", gzip.compress(TEXT), Content_Encoding="gzip")
    assert "larger than 1,000 bytes" in refusal(tmp_path, url, max_bytes=1000).message


def test_a_stream_that_never_ends_ends_at_the_limit(tmp_path, web):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    web.answers["/endless"] = endless
    error = refusal(tmp_path, web.url + "/endless", max_bytes=1 << 20)
    assert error.reason is Reason.DATA_INVALID
    assert len(web.seen) == 1, "another try would end the same way"


def test_a_trickle_is_no_progress(tmp_path, web):
    """A byte comes before each time-out runs out, for ever."""

    def trickle(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                stopped.wait(0.01)
        except OSError:
            pass

    stopped = threading.Event()
    web.answers["/trickle"] = trickle
    error = refusal(tmp_path, web.url + "/trickle", timeout=0.05)
    stopped.set()
    assert error.exit_code is ExitCode.TRANSIENT
    assert "bytes came within 0." in error.message
