"""Download over HTTP(S) to a file: streamed, bounded, with redirects that cannot carry credentials away.

Every hop is looked up and checked by `Reach`, and the connection goes to the addresses that were checked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import httpx

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.addresses import public_url
from runwright_components.storage.connecting import answer
from runwright_components.storage.http_body import MAX_BYTES, OnBytes, length, write_body
from runwright_components.storage.reach import OWN_MACHINE, Reach

MAX_REDIRECTS = 5
ATTEMPTS = 3
PAUSE_SECONDS = 0.25  # before the second attempt; doubles
_REDIRECTS = {301, 302, 303, 307, 308}

# These log whole URLs and headers, which may hold tokens.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Request:
    """What to get. `headers` are secret and go to the origin of `url` only, like a user and password in the URL."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0  # seconds to connect, and between two chunks
    reach: Reach = OWN_MACHINE

    @property
    def place(self) -> str:
        return public_url(self.url)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of the content."""

    content_type: str
    etag: str
    last_modified: str
    length: int | None


def download(request: Request, target: Path, *, on_bytes: OnBytes, max_bytes: int = MAX_BYTES) -> Facts:
    """Write the content to `target`; passing troubles (5xx, time-outs, cut connections) are tried again.

    Raises StageError (SourceNotFound, SourceDenied, SourceUnavailable, StorageFull, ...); `target` is gone then.
    """
    for attempt in range(ATTEMPTS):
        try:
            with _response(request, "GET") as response:
                write_body(
                    response,
                    target,
                    where=request.place,
                    on_bytes=on_bytes,
                    max_bytes=max_bytes,
                    timeout=request.timeout,
                )
                return _facts(response)
        except BaseException as error:
            target.unlink(missing_ok=True)
            passing = isinstance(error, StageError) and error.reason is Reason.SOURCE_UNAVAILABLE
            if not passing or attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS * 2**attempt)
    raise AssertionError("unreachable")


def inspect(request: Request) -> Facts:
    """What the server says of the content, without getting it; a server that refuses HEAD is asked by GET."""
    try:
        with _response(request, "HEAD") as response:
            return _facts(response)
    except StageError:
        with _response(request, "GET") as response:
            return _facts(response)


@contextmanager
def _response(request: Request, method: str) -> Iterator[httpx.Response]:
    """The final response after redirects, not yet read; every failure of the network becomes a StageError."""
    url, user, password = _split_credentials(request, request.url)
    headers = {"User-Agent": "runwright", "Accept-Encoding": "identity"}
    at, seen = url, list[str]()
    with _network_errors(request):
        trusted = httpx.create_ssl_context()
        while at not in seen and len(seen) <= MAX_REDIRECTS:
            seen.append(at)
            own = _origin(at) == _origin(url)
            with answer(
                method,
                at,
                headers={**headers, **(request.headers if own else {})},
                auth=httpx.BasicAuth(user, password) if own and user else None,
                reach=request.reach,
                timeout=request.timeout,
                trusted=trusted,
                where=request.place,
            ) as response:
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    _check_status(response.status_code, request)
                    yield response
                    return
                at = _redirected(at, response.headers["location"], request)
    raise StageError(
        Reason.SOURCE_UNAVAILABLE,
        f"more than {MAX_REDIRECTS} redirects" if at not in seen else "the redirects go in a circle",
        where=request.place,
        cure="give the address that the redirects end at",
    )


def _redirected(at: str, location: str, request: Request) -> str:
    target, _, _ = _split_credentials(request, location, base=at)
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(at).scheme == "https"):
        raise StageError(
            Reason.SOURCE_DENIED,
            f"a redirect to {public_url(target)} is not followed",
            where=request.place,
            cure="only redirects to http(s), and never from https to http, are followed; give the final address",
        )
    return target


def _split_credentials(request: Request, url: str, base: str = "") -> tuple[str, str, str]:
    """The address without user, password and fragment, and the two."""
    try:
        parts = urlsplit(urljoin(base, url))
        if parts.scheme in ("http", "https") and not parts.hostname:
            raise ValueError("no host")
        _ = parts.port  # raises for one out of range
    except ValueError as error:
        raise StageError(
            Reason.INVALID_CONFIG, "not a usable address", where=request.place, cure="write http(s)://HOST/PATH"
        ) from error
    userinfo, _, host = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host, fragment="")), unquote(user), unquote(password)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _check_status(status: int, request: Request) -> None:
    if status < 300:
        return
    if status in (401, 403, 407):
        reason, cure = (
            Reason.SOURCE_DENIED,
            "give credentials with http.headersFrom, or ask the owner for the right to read",
        )
    elif status in (408, 425, 429) or status >= 500:
        reason, cure = Reason.SOURCE_UNAVAILABLE, "the server has trouble; try again later"
    else:
        reason, cure = Reason.SOURCE_NOT_FOUND, "check the address in a browser"
    raise StageError(reason, f"the server answered {status}", where=request.place, cure=cure)


@contextmanager
def _network_errors(request: Request) -> Iterator[None]:
    def error(reason: Reason, message: str, cure: str) -> StageError:
        return StageError(reason, message, where=request.place, cure=cure)

    try:
        yield
    except httpx.TimeoutException as cause:
        said = f"no answer within {request.timeout:g} s"
        raise error(Reason.SOURCE_UNAVAILABLE, said, "try again later, or raise timeoutSeconds") from cause
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as cause:
        raise error(Reason.INVALID_CONFIG, "not a usable address or header", "write http(s)://HOST/PATH") from cause
    except httpx.RemoteProtocolError as cause:
        raise error(
            Reason.SOURCE_UNAVAILABLE, f"the answer was cut short: {cause}", "try again; the server broke off"
        ) from cause
    except httpx.HTTPError as cause:
        raise error(
            Reason.SOURCE_UNAVAILABLE, f"cannot reach the server: {cause}", "check the address, the network and proxies"
        ) from cause


def _facts(response: httpx.Response) -> Facts:
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    etag, modified = response.headers.get("etag", ""), response.headers.get("last-modified", "")
    return Facts(content_type, etag, modified, length(response))
