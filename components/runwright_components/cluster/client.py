"""The Kubernetes API as the steps use it: few verbs on plain JSON, patient with an API server that is away.

Connections that fail, 429 and 5xx are tried again, first after half a second and then more rarely, until `patience` has
passed. Writes stay safe by that: a create whose answer was lost finds its own object, an apply is repeatable.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from kubernetes import config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from runwright_components.cluster.manifests.pods import Manifest
from runwright_components.contract.outcome import Reason, StageError

PATIENCE = 900.0  # seconds without the API that a step lives through
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
TIMEOUTS = (5.0, 20.0)  # seconds to connect, and to read
_PASSING = (0, 408, 429, 500, 502, 503, 504)
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True)
class Resource:
    """A kind of object by its place in the API."""

    api_version: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        root = "/api" if "/" not in self.api_version else "/apis"
        return f"{root}/{self.api_version}/namespaces/{namespace}/{self.plural}" + (f"/{name}" if name else "")


class Kubernetes:
    """Each call raises StageError: SourceUnavailable when patience ends, SourceDenied for 401 and 403, InvalidConfig
    for an object that the API server refuses."""

    def __init__(
        self,
        api: ApiClient,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._patience = patience
        self._clock = clock
        self._sleep = sleep

    @classmethod
    def connect(cls, *, patience: float = PATIENCE) -> Kubernetes:
        """With the kubeconfig that KUBECONFIG names, else with the pod's ServiceAccount."""
        configuration = Configuration()
        try:
            if os.environ.get("KUBECONFIG") or _IN_CLUSTER not in os.environ:
                config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
            else:
                config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise StageError(
                Reason.SOURCE_DENIED,
                f"no access to the Kubernetes API: {error}",
                cure="run the step with the ServiceAccount runwright-run, its token mounted",
            ) from error
        configuration.retries = False  # we try again ourselves, with pauses
        return cls(ApiClient(configuration), patience=patience)

    def patient(self, seconds: float) -> Kubernetes:
        """The same API with another patience."""
        return Kubernetes(self._api, patience=seconds, clock=self._clock, sleep=self._sleep)

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """The object, or None."""
        return self._call("GET", resource.path(namespace, name), absent=(404,))

    def list(self, resource: Resource, namespace: str, *, labels: str = "", fields: str = "") -> list[Manifest]:
        """The objects that the label and field selectors choose."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        found = self._call("GET", resource.path(namespace), query={name: text for name, text in query.items() if text})
        return list((found or {}).get("items") or ())

    def create(self, resource: Resource, manifest: Manifest) -> Manifest | None:
        """Create the object; None when one of that name exists."""
        path = resource.path(manifest["metadata"]["namespace"])
        return self._call("POST", path, body=manifest, absent=(409,))

    def apply(self, resource: Resource, manifest: Manifest, *, manager: str) -> Manifest:
        """Server-side apply; takes over fields that another manager holds."""
        metadata = manifest["metadata"]
        path = resource.path(metadata["namespace"], metadata["name"])
        query = {"fieldManager": manager, "force": "true"}
        found = self._call("PATCH", path, body=manifest, query=query, content="application/apply-patch+yaml")
        return cast(Manifest, found)

    def merge(self, resource: Resource, namespace: str, name: str, patch: Manifest) -> Manifest | None:
        """JSON merge patch; None when the object is gone or is not the one that the patch means (its uid)."""
        path = resource.path(namespace, name)
        return self._call("PATCH", path, body=patch, content="application/merge-patch+json", absent=(404, 409))

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object if it is the one with that uid, its dependents first."""
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        }
        self._call("DELETE", resource.path(namespace, name), body=body, absent=(404, 409))

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        absent: tuple[int, ...] = (),
    ) -> Manifest | None:
        pause, began = FIRST_PAUSE, self._clock()
        while True:
            try:
                return self._once(method, path, body, query or {}, content)
            except ApiException as error:
                if error.status in absent:
                    return None
                if error.status not in _PASSING:
                    raise _refusal(method, path, error) from error
                said = f"{error.status} {error.reason}"
            except (HTTPError, OSError, ValueError) as error:  # ValueError: an answer that is no JSON
                said = type(error).__name__
            if self._clock() - began + pause > self._patience:
                raise StageError(
                    Reason.SOURCE_UNAVAILABLE,
                    f"the Kubernetes API has not answered for {self._clock() - began:.0f} s: {said}",
                    where=path,
                    cure="see whether the API server runs; the step starts again by itself",
                )
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _once(
        self, method: str, path: str, body: Manifest | None, query: Mapping[str, str], content: str
    ) -> Manifest | None:
        answer = self._api.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=TIMEOUTS,
        )
        found = json.loads(answer.data)
        if not isinstance(found, dict):
            raise ValueError("not an object")
        return found


def _refusal(method: str, path: str, error: ApiException) -> StageError:
    try:
        said = str(json.loads(error.body)["message"])
    except (ValueError, TypeError, KeyError):
        said = str(error.reason)
    if error.status in (401, 403):
        return StageError(
            Reason.SOURCE_DENIED,
            f"the Kubernetes API refuses {method}: {said}",
            where=path,
            cure="give the ServiceAccount runwright-run the rights that the chart gives it in this namespace",
        )
    return StageError(
        Reason.INVALID_CONFIG,
        f"the Kubernetes API answers {error.status} to {method}: {said}",
        where=path,
        cure="change the field that the message names; see that the CRDs of KServe and the training operator are there",
    )
