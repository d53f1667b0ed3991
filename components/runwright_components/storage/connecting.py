"""One request to one address, over a connection to where the guard looked."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLContext

import httpx

from runwright_components.storage.reach import Reach


@contextmanager
def answer(
    method: str,
    at: str,
    *,
    headers: Mapping[str, str],
    auth: httpx.Auth | None,
    reach: Reach,
    timeout: float,
    trusted: SSLContext,
    where: str,
) -> Iterator[httpx.Response]:
    """The answer of `at`, redirect or not, its body not yet read.

    The client is a new one each time: no cookie goes from host to host. Raises StageError when `reach` lets nothing
    pass, and what httpx raises.
    """
    url = httpx.URL(at)
    host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
    proxy = _proxy(url)
    if proxy is None:
        places = reach.addresses(host, port, where=where)
    else:
        reach.check_known(host, port, where=where)
        places = [host]
    with httpx.Client(timeout=timeout, verify=trusted, trust_env=False, proxy=proxy) as client:
        response = _send(client, method, url, host, places, headers, auth)
        try:
            yield response
        finally:
            response.close()


def _send(
    client: httpx.Client,
    method: str,
    url: httpx.URL,
    host: str,
    places: list[str],
    headers: Mapping[str, str],
    auth: httpx.Auth | None,
) -> httpx.Response:
    """Connect to the first of `places` that takes the connection. `host` stays in the Host header and in TLS, which
    checks the certificate by it."""
    for left, place in enumerate(places, start=1 - len(places)):
        request = client.build_request(
            method,
            url.copy_with(host=place),
            headers={"Host": url.netloc.decode("ascii"), **headers},
            extensions={"sni_hostname": host},
        )
        try:
            return client.send(request, auth=auth, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if left == 0:
                raise
    raise AssertionError("unreachable")


def _proxy(url: httpx.URL) -> str | None:
    """The proxy that the environment names for an address (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)."""
    proxies = urllib.request.getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    return found if found and not urllib.request.proxy_bypass(url.host) else None
