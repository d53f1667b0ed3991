"""A small client of the Kubernetes API for the tier and its tests: objects are JSON, kinds are found by discovery."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

Manifest = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
TIMEOUT = 60.0  # seconds


class Refused(ApiException):  # type: ignore[misc]  # kubernetes has no types
    """An answer other than 2xx, told in one line: its status and its message."""

    def __init__(self, error: ApiException) -> None:
        super().__init__(status=error.status, reason=error.reason)
        self.body = error.body.decode() if isinstance(error.body, bytes) else error.body
        self.headers = error.headers

    @property
    def message(self) -> str:
        try:
            return str(json.loads(self.body or "")["message"])
        except (ValueError, KeyError, TypeError):
            return str(self.body or self.reason)

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


class Api:
    """Calls raise Refused (an ApiException of `kubernetes.client.exceptions`) for every answer but 2xx."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._client = api_client
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_kubeconfig(cls, path: Path | str) -> Api:
        settings = client.Configuration()
        config.load_kube_config(str(path), client_configuration=settings, persist_config=False)
        settings.proxy = None
        settings.connection_pool_maxsize = 32
        settings.retries = False  # a test sees what the server says
        return cls(client.ApiClient(settings))

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | Sequence[Any] | None = None,
        *,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Any:
        """One request: the JSON of its answer, or its text where that is none."""
        try:
            response = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(timeout, timeout),
            )[0]
        except ApiException as error:
            raise Refused(error) from None
        text = response.data.decode()
        return json.loads(text) if response.headers.get("Content-Type", "").startswith("application/json") else text

    def path(self, api_version: str, kind: str, name: str = "", namespace: str | None = None) -> str:
        """The path of an object, of a collection (no name), or of a kind in every namespace (no namespace either)."""
        plural, namespaced = self._resource(api_version, kind)
        root = _root(api_version)
        inside = f"/namespaces/{namespace or 'default'}" if namespaced and (namespace or name) else ""
        return f"{root}{inside}/{plural}" + (f"/{name}" if name else "")

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest:
        return dict(self.request("GET", self.path(api_version, kind, name, namespace)))

    def find(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """As `get`, but None for an object that is not there."""
        try:
            return self.get(api_version, kind, name, namespace)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Manifest]:
        """The objects of a kind, in one namespace or in all."""
        query = {name: value for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        return list(self.request("GET", self.path(api_version, kind, namespace=namespace), query=query)["items"])

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        path = self.path(manifest["apiVersion"], manifest["kind"], namespace=_home(manifest))
        return dict(self.request("POST", path, manifest, query={"dryRun": "All"} if dry_run else None))

    def apply(self, manifest: Manifest, *, manager: str = "runwright-test", force: bool = True) -> Manifest:
        """Server-side apply."""
        query = {"fieldManager": manager, "force": str(force).lower()}
        return dict(self.request("PATCH", self._of(manifest), manifest, content=APPLY, query=query))

    def replace(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        path = self._of(manifest) + (f"/{subresource}" if subresource else "")
        return dict(self.request("PUT", path, manifest))

    def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        patch: Manifest,
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Manifest:
        """A JSON merge patch, of the object or of its subresource (`status`)."""
        path = self.path(api_version, kind, name, namespace) + (f"/{subresource}" if subresource else "")
        return dict(self.request("PATCH", path, patch, content=MERGE))

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        propagation: str = "Background",
    ) -> None:
        """Asks for the deletion; an object that is not there is as good as deleted."""
        try:
            path = self.path(api_version, kind, name, namespace)
            self.request("DELETE", path, query={"propagationPolicy": propagation})
        except Refused as error:
            if error.status != 404:
                raise

    def condition(self, manifest: Manifest, kind: str) -> Manifest:
        """The condition of a type in an object's status; empty where there is none."""
        found: Iterable[Manifest] = manifest.get("status", {}).get("conditions") or ()
        return next((condition for condition in found if condition["type"] == kind), {})

    def token(self, namespace: str, service_account: str, *, audiences: Sequence[str] = (), seconds: int = 3600) -> str:
        """A token for a ServiceAccount, as the kubelet projects them."""
        path = self.path("v1", "ServiceAccount", service_account, namespace) + "/token"
        wanted = {"expirationSeconds": seconds, **({"audiences": list(audiences)} if audiences else {})}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wanted}
        return str(self.request("POST", path, body)["status"]["token"])

    def _of(self, manifest: Manifest) -> str:
        name = manifest["metadata"]["name"]
        return self.path(manifest["apiVersion"], manifest["kind"], name, _home(manifest))

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        with self._lock:
            if (api_version, kind) not in self._resources:
                for found in self.request("GET", _root(api_version))["resources"]:
                    if "/" not in found["name"]:
                        self._resources[api_version, found["kind"]] = (found["name"], found["namespaced"])
            if (api_version, kind) not in self._resources:
                raise LookupError(f"the API server knows no {kind} of {api_version}")
            return self._resources[api_version, kind]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _home(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace") or "default")
