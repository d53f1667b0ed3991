"""What the commands ask of a cluster: TrainingRuns, pods and their logs, as plain mappings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from runwright_api import names
from runwright_cli.cluster.connection import Connection, Target, connect
from runwright_cli.cluster.errors import AwayError, ClusterError, ExpiredError, NotFoundError, refused

Object = dict[str, Any]
FIELD_MANAGER = "runwright-cli"


class Cluster:
    """One namespace of a cluster. Every method raises ClusterError."""

    def __init__(self, connection: Connection, manager: str = FIELD_MANAGER) -> None:
        self._connection = connection
        self._manager = manager
        self.namespace = connection.namespace
        self.context = connection.context

    @classmethod
    def of(cls, target: Target) -> Cluster:
        return cls(connect(target))

    def get(self, name: str) -> Object:
        """A TrainingRun. Raises NotFoundError that names a near one."""
        try:
            return self._json("GET", self._runs(name))
        except NotFoundError:
            raise self._absent(name) from None

    def find(self, name: str) -> Object | None:
        """A TrainingRun, or None."""
        try:
            return self._json("GET", self._runs(name))
        except NotFoundError:
            return None

    def run_names(self, seconds: float = 20.0) -> list[str]:
        content = self._json("GET", self._runs(), seconds=seconds)
        return sorted(item["metadata"]["name"] for item in content["items"])

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply; gives the object as the API server would store it."""
        query = {"fieldManager": self._manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        path = self._runs(str(manifest["metadata"]["name"]))
        return self._json("PATCH", path, query=query, body=manifest, content_type="application/apply-patch+yaml")

    def patch(self, name: str, changes: Mapping[str, Any]) -> Object:
        """Change some fields (JSON merge patch)."""
        query = {"fieldManager": self._manager, "fieldValidation": "Strict"}
        try:
            return self._json(
                "PATCH", self._runs(name), query=query, body=changes, content_type="application/merge-patch+json"
            )
        except NotFoundError:
            raise self._absent(name) from None

    def watch(self, name: str, version: str, seconds: int) -> Iterator[tuple[str, Object]]:
        """(type, object) of every change after `version`, for at most `seconds`. Raises ExpiredError and AwayError."""
        query = watch_query(name, version, seconds)
        for line in self._connection.lines(self._runs(), query=query, seconds=seconds + 5.0):
            if line.strip():
                yield watch_event(line, self._connection)

    def pods(self, selector: str) -> list[Object]:
        """Pods by label, the oldest first."""
        content = self._json("GET", self._core("pods"), query={"labelSelector": selector})
        return sorted(content["items"], key=lambda pod: str(pod["metadata"].get("creationTimestamp")))

    def log(
        self, pod: str, container: str, *, follow: bool, previous: bool, tail: int | None, since: str | None = None
    ) -> Iterator[str]:
        """Lines of a container's log, each with its time in front."""
        query = {"container": container, "timestamps": "true", "follow": str(follow).lower()}
        if previous:
            query["previous"] = "true"
        if tail is not None:
            query["tailLines"] = str(tail)
        if since is not None:
            query["sinceTime"] = since
        path = self._core("pods", pod, "log")
        for line in self._connection.lines(path, query=query, seconds=None if follow else 60.0):
            yield line.decode("utf-8", errors="replace").rstrip("\r")

    def _absent(self, name: str) -> NotFoundError:
        from difflib import get_close_matches

        where = f"there is no TrainingRun {name} in namespace {self.namespace}"
        try:
            known = self.run_names()
        except ClusterError:
            return NotFoundError(where, "`kubectl get trun` lists them")
        near = get_close_matches(name, known, n=1)
        if near:
            return NotFoundError(where, f"did you mean {near[0]}?")
        there = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        return NotFoundError(where, f"it has: {there}" if known else "the namespace has none; choose another with -n")

    def _runs(self, *parts: str) -> str:
        return runs_path(self.namespace, *parts)

    def _core(self, *parts: str) -> str:
        base = f"/api/v1/namespaces/{quote(self.namespace, safe='')}"
        return "/".join((base, *(quote(part, safe="") for part in parts)))

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        seconds: float = 20.0,
    ) -> Object:
        text = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        answer = self._connection.request(
            method, path, query=query, body=text, content_type=content_type, seconds=seconds
        )
        try:
            content = json.loads(answer)
        except ValueError as error:
            raise AwayError(
                f"{self._connection.host} gave an answer that is not JSON", "is a proxy between?"
            ) from error
        if not isinstance(content, dict):
            raise AwayError(f"{self._connection.host} gave an answer that is no object", "is a proxy between?")
        return content


def runs_path(namespace: str, *parts: str) -> str:
    """The path of a namespace's TrainingRuns, or of one."""
    base = f"/apis/{names.API_VERSION}/namespaces/{quote(namespace, safe='')}/{names.PLURAL}"
    return "/".join((base, *(quote(part, safe="") for part in parts)))


def watch_query(name: str, version: str, seconds: int) -> dict[str, str]:
    """The query of a watch on one object after `version`, which the API server ends after `seconds`."""
    return {
        "watch": "true",
        "fieldSelector": f"metadata.name={name}",
        "resourceVersion": version,
        "timeoutSeconds": str(seconds),
        "allowWatchBookmarks": "true",
    }


def watch_event(line: bytes | str, connection: Connection) -> tuple[str, Object]:
    """(type, object) of a line of a watch. Raises ExpiredError, AwayError and ClusterError."""
    try:
        event = json.loads(line)
        kind, content = str(event["type"]), dict(event["object"])
    except (ValueError, KeyError, TypeError) as error:
        raise AwayError("the watch broke off in the middle of an event") from error
    if kind == "ERROR":
        raise _in_stream(content, connection)
    return kind, content


def _in_stream(status: Mapping[str, Any], connection: Connection) -> ClusterError:
    code = status.get("code")
    if code == 410:
        return ExpiredError(str(status.get("message", "")))
    return refused(
        code if isinstance(code, int) else 500, json.dumps(status), host=connection.host, context=connection.context
    )
