"""How the API server is reached and what proves who we are: in a pod its ServiceAccount, elsewhere the kubeconfig.

A ServiceAccount is three files, read here. A kubeconfig is read by the `kubernetes` package, exec plugins included,
which only those need who run the operator outside of a cluster: it costs 40 MB and half a second. Tokens that run out
are read again: once a minute for a token file, by that package when it knows that they expire, and at once after a 401.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp

log = logging.getLogger(__name__)

REFRESH_SECONDS = 30.0  # how long a token is used before it is read again
RETRY_SECONDS = 5.0  # after reading it failed
USER_AGENT = "runwright-operator"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(Exception):
    """There is no usable configuration; the message says what was looked for."""


class Configuration(Protocol):
    """What is read of a configuration: that of the `kubernetes` package, or a pod's own."""

    host: Any
    verify_ssl: Any
    ssl_ca_cert: Any
    cert_file: Any
    key_file: Any
    username: Any

    def get_api_key_with_prefix(self, identifier: str) -> Any: ...

    def get_basic_auth_token(self) -> Any: ...


@dataclass
class InCluster:
    """The ServiceAccount of the pod that we are in."""

    host: str
    ssl_ca_cert: str
    verify_ssl: bool = True
    cert_file: str | None = None
    key_file: str | None = None
    username: str = ""

    def get_api_key_with_prefix(self, identifier: str) -> str | None:
        """The token; the kubelet renews its file."""
        return f"Bearer {(SERVICE_ACCOUNT / 'token').read_text().strip()}" if identifier == "authorization" else None

    def get_basic_auth_token(self) -> None:
        """There is none."""


def read_configuration() -> Configuration:
    """The pod's ServiceAccount, else the kubeconfig that $KUBECONFIG or ~/.kube/config names."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    authority = SERVICE_ACCOUNT / "ca.crt"
    if host and (SERVICE_ACCOUNT / "token").is_file() and authority.is_file():
        name = f"[{host}]" if ":" in host else host
        return InCluster(host=f"https://{name}:{port}", ssl_ca_cert=str(authority))
    try:
        from kubernetes import client, config

        found = client.Configuration()
        config.load_kube_config(client_configuration=found)
    except ImportError as error:
        raise AccessError("no access to a cluster: not in a pod; for a kubeconfig, install `kubernetes`") from error
    except Exception as error:  # by the file it is KeyError, TypeError, YAMLError, ...
        raise AccessError(f"no access to a cluster: not in a pod, and no kubeconfig: {error}") from error
    configuration: Configuration = found
    return configuration


def tls_context(configuration: Configuration) -> ssl.SSLContext | None:
    """Certificates to trust and to show; None for plain HTTP."""
    if not str(configuration.host).startswith("https"):
        return None
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


class Access:
    """Gives out HTTP sessions that authenticate each request by what is valid at that time."""

    def __init__(self, read: Callable[[], Configuration] = read_configuration) -> None:
        self._read = read
        self._configuration = read()
        self.server = str(self._configuration.host).rstrip("/")
        # Read here already: of several first requests, all but the one that reads would go without.
        self._authorization = authorization(self._configuration)
        self._good_until = time.monotonic() + REFRESH_SECONDS
        self._stale = False

    def session(
        self, *, read_only: bool = False, pace: aiohttp.ClientMiddlewareType | None = None
    ) -> aiohttp.ClientSession:
        """A new session; whoever asks for it closes it. Its requests need the full URL, and wait for `pace`."""
        connector = aiohttp.TCPConnector(limit=0, ssl=tls_context(self._configuration) or True)
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            middlewares=(
                *((pace,) if pace else ()),
                self._authenticate,
                *((_refuse_writes,) if read_only else ()),
            ),
        )

    def refused(self) -> None:
        """The server did not accept the credentials: the next request reads them anew."""
        self._good_until = 0.0
        self._stale = True

    async def _authenticate(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if time.monotonic() >= self._good_until:
            await self._refresh()
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        if name := getattr(self._configuration, "tls_server_name", None):
            request.server_hostname = name
        response = await send(request)
        if response.status == 401:
            self.refused()
        return response

    async def _refresh(self) -> None:
        """What was valid stays in use while reading fails, since it may still be."""
        self._good_until = time.monotonic() + RETRY_SECONDS
        try:
            self._authorization = await asyncio.to_thread(self._read_authorization)
        except Exception as error:  # noqa: BLE001 (files, YAML, plugins: whatever it is, we try again)
            log.warning("the credentials of the API server could not be read: %s", type(error).__name__)
        else:
            self._good_until = time.monotonic() + REFRESH_SECONDS
            self._stale = False

    def _read_authorization(self) -> str | None:
        if self._stale:
            self._configuration = self._read()
        return authorization(self._configuration)


async def _refuse_writes(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    if request.method != "GET":
        raise RuntimeError(f"{request.method} {request.url.path}: this session is for reading")
    return await send(request)


def authorization(configuration: Any) -> str | None:
    """The value of the header, which `kubernetes` keeps under another name from version 36 on."""
    for name in ("BearerToken", "authorization"):
        if key := configuration.get_api_key_with_prefix(name):
            return str(key).strip()
    if configuration.username:
        return str(configuration.get_basic_auth_token())
    return None
