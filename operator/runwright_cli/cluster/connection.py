"""From a kubeconfig to a connection: who is asked, with which credentials, and how long we wait."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yaml import YAMLError

from runwright_cli.cluster.errors import AwayError, ClusterError, refused

if TYPE_CHECKING:
    import urllib3

ANSWER_SECONDS = 20.0
CONNECT_SECONDS = 5.0
# what the loader raises for a file that is no kubeconfig, beside its own exception
BROKEN_FILE = (OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError)
IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Target:
    """Which cluster and namespace, as the command line says; None: what the kubeconfig says."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None


class Connection:
    """Sends requests. Raises ClusterError, of which AwayError is worth another try."""

    def __init__(self, configuration: Any, *, context: str, namespace: str) -> None:
        from kubernetes.client.rest import RESTClientObject

        self._configuration = configuration
        configuration.connection_pool_maxsize = 32
        self._pool = RESTClientObject(configuration).pool_manager
        self.host: str = configuration.host.rstrip("/")
        self.context = context
        self.namespace = namespace

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        with self._asked(method, path, query, body, content_type, seconds, stream=False) as answer:
            data: bytes = answer.data
            return data

    def lines(self, path: str, *, query: Mapping[str, str], seconds: float | None) -> Iterator[bytes]:
        """The lines of an answer as they come; `seconds`: the longest silence, None for any."""
        rest = b""
        with self._asked("GET", path, query, None, "application/json", seconds, stream=True) as answer:
            for chunk in answer.stream(65536):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
        if rest:
            yield rest

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        seconds: float | None,
        *,
        stream: bool,
    ) -> Iterator[urllib3.HTTPResponse]:
        import urllib3
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json, */*", "Content-Type": content_type, **self.credentials()}
        try:
            answer = self._pool.request_encode_url(
                method,
                self.host + path,
                fields=dict(query or {}),
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
                retries=False,
                preload_content=not stream,
            )
            try:
                if answer.status >= 400:
                    raise refused(answer.status, answer.read() or answer.data, host=self.host, context=self.context)
                yield answer
            finally:
                answer.close()
        except HTTPError as error:
            raise self._unreachable(error) from error

    def credentials(self) -> dict[str, str]:
        """The headers that say who asks."""
        settings = self._configuration.auth_settings().values()
        return {item["key"]: item["value"] for item in settings if item["in"] == "header" and item["value"]}

    def tls(self) -> ssl.SSLContext:
        """Whom to trust and the client's own certificate, for a client that waits without a thread."""
        given = self._configuration
        context = ssl.create_default_context(cafile=given.ssl_ca_cert)
        if not given.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if given.cert_file:
            context.load_cert_chain(given.cert_file, given.key_file)
        return context

    def _unreachable(self, error: Exception) -> ClusterError:
        from urllib3.exceptions import (
            ConnectTimeoutError,
            NewConnectionError,
            ProtocolError,
            ReadTimeoutError,
            SSLError,
        )

        other = "is it running, and is this the right context? `kubectl config get-contexts` lists them"
        if isinstance(error, SSLError):
            return ClusterError(
                f"{self.host}: {_innermost(error)}",
                f"the certificates of context {self.context} do not fit, or have expired: get its kubeconfig anew",
            )
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError) and not isinstance(error, NewConnectionError):
            return AwayError(f"{self.host} does not answer in time", other)
        if isinstance(error, ProtocolError):
            return AwayError(f"the connection to {self.host} broke off", other)
        return AwayError(f"{self.host} does not answer: {_innermost(error)}", other)


def _innermost(error: BaseException) -> str:
    """The system's own words, such as `Connection refused`, out of the errors wrapped around them."""
    while isinstance(error.__cause__ or error.__context__, Exception):
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(error)


def connect(target: Target) -> Connection:
    """Read the kubeconfig as kubectl does: the option, KUBECONFIG, ~/.kube/config, or the pod's service account.

    Raises ClusterError.
    """
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException
    except ImportError as error:
        raise ClusterError(
            "the Python package kubernetes is not installed", "pip install 'runwright[cluster]'"
        ) from error

    configuration = Configuration()
    try:
        context, namespace = _load(target, configuration)
    except ConfigException as error:
        raise _bad_config(str(error)) from error
    except BROKEN_FILE as error:
        raise _bad_config(f"{type(error).__name__}: {error}") from error
    return Connection(configuration, context=context, namespace=target.namespace or namespace or "default")


def _load(target: Target, configuration: Any) -> tuple[str, str | None]:
    from kubernetes.config import list_kube_config_contexts, load_incluster_config, load_kube_config

    file = target.kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    found = [path for path in file.split(os.pathsep) if path and Path(path).expanduser().is_file()]
    if not found and target.kubeconfig is None and target.context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        load_incluster_config(client_configuration=configuration)
        place = IN_CLUSTER_NAMESPACE
        return "of this pod", place.read_text().strip() if place.is_file() else None
    if not found:
        raise ClusterError(
            f"there is no kubeconfig at {file}",
            "give one with --kubeconfig or KUBECONFIG; to run with no cluster: `runwright run FILE`",
        )
    joined = os.pathsep.join(found)
    contexts, active = list_kube_config_contexts(joined)
    chosen = _choose(contexts, active, target.context)
    load_kube_config(joined, chosen["name"], configuration, persist_config=False)
    return chosen["name"], (chosen.get("context") or {}).get("namespace")


def _choose(contexts: Any, active: Any, wanted: str | None) -> dict[str, Any]:
    named = {item["name"]: item for item in contexts}
    if wanted is None:
        return dict(active)
    if wanted in named:
        return dict(named[wanted])
    names = ", ".join(sorted(named)) or "none"
    raise ClusterError(f"there is no context {wanted}", f"the kubeconfig has: {names}")


def _bad_config(message: str) -> ClusterError:
    text = message.removeprefix("Invalid kube-config file. ")
    if "current-context" in text or "contexts" in text:
        return ClusterError(f"the kubeconfig has no context to use: {text}", "name one with --context")
    return ClusterError(f"the kubeconfig cannot be used: {text}", "`kubectl config view` shows how it is read")
