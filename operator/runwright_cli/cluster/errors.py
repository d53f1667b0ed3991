"""What can go wrong between this machine and a cluster, told so that a person can mend it.

ClusterError
├── AwayError         no answer, or one that says "later"; worth another try
├── ExpiredError      the watch or the version asked for is too old; list again
├── NotFoundError
├── ForbiddenError
└── ConflictError     another field manager owns what was to be changed
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from runwright_api.names import GROUP, KIND, PLURAL

INSTALL = "runwright schema --crd | kubectl apply --server-side -f -"


class ClusterError(Exception):
    """A cluster could not be asked, or refused. `cure` says what to do."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def render(self) -> str:
        return f"error: {self.message}" + (f"\n  cure: {self.cure}" if self.cure else "")


class AwayError(ClusterError):
    """There was no answer, or one that asks to come again."""


class ExpiredError(ClusterError):
    """The resource version is too old (410)."""


class NotFoundError(ClusterError):
    """There is no such object."""


class ForbiddenError(ClusterError):
    """A right is missing."""


class ConflictError(ClusterError):
    """Server-side apply met fields that another manager owns."""


def refused(code: int, body: bytes | str, *, host: str, context: str) -> ClusterError:
    """The error for an answer of the API server with a status code of 400 or more."""
    status = _status(body)
    message = str(status.get("message") or "").strip() or f"HTTP {code}"
    if code == 401:
        return ClusterError(
            f"{host} does not accept the credentials of context {context}",
            "they may have expired: log in again, then look with `kubectl auth whoami`",
        )
    if code == 403:
        return _forbidden(message)
    if code == 404:
        return _not_found(status, message)
    if code == 409:
        return _conflict(status, message)
    if code == 410:
        return ExpiredError(message)
    if code == 422:
        return ClusterError(_causes(status) or message, "mend these fields; `kubectl explain trun.spec` tells of them")
    if code == 429 or code >= 500:
        return AwayError(f"{host} cannot answer now: {message}", "try again in a moment")
    return ClusterError(f"{host} refused: {message}")


def _status(body: bytes | str) -> Mapping[str, Any]:
    """The Status object of an answer; empty where the answer is something else."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) and content.get("kind") == "Status" else {}


_RIGHT = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"(?P<rest>.*)')
_NAMESPACE = re.compile(r'in the namespace "([^"]+)"')


def _forbidden(message: str) -> ForbiddenError:
    found = _RIGHT.search(message)
    if not found:  # a quota or an admission policy
        return ForbiddenError(f"the cluster does not allow this: {message}")
    resource = found["resource"] if not found["group"] else f"{found['resource']}.{found['group']}"
    namespace = _NAMESPACE.search(found["rest"])
    where = f" in namespace {namespace[1]}" if namespace else ""
    option = f" -n {namespace[1]}" if namespace else ""
    return ForbiddenError(
        f"you lack the right to {found['verb']} {resource}{where}",
        f"ask an administrator for it, and check with `kubectl auth can-i {found['verb']} {resource}{option}`",
    )


def _not_found(status: Mapping[str, Any], message: str) -> ClusterError:
    details = status.get("details") or {}
    kind, name = details.get("kind"), details.get("name")
    if kind == "namespaces" and name:
        return NotFoundError(f"there is no namespace {name}", f"kubectl create namespace {name}")
    if name:
        return NotFoundError(message)
    return ClusterError(
        f"this cluster knows no {KIND}s: the CustomResourceDefinition {PLURAL}.{GROUP} is not installed",
        f"install Runwright with its Helm chart; the definition alone: `{INSTALL}`",
    )


def _conflict(status: Mapping[str, Any], message: str) -> ClusterError:
    causes = (status.get("details") or {}).get("causes") or []
    fields = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if not fields:
        return AwayError(f"the object was changed meanwhile: {message}", "try again")
    owners = sorted({_manager(str(cause.get("message", ""))) for cause in fields})
    paths = ", ".join(str(cause.get("field", "")).lstrip(".") for cause in fields)
    return ConflictError(
        f"{' and '.join(owners)} set {paths} to another value",
        "change it there, or take the fields over with --force-conflicts",
    )


def _manager(message: str) -> str:
    found = re.search(r'conflict with "([^"]+)"', message)
    return found[1] if found else "another field manager"


def _causes(status: Mapping[str, Any]) -> str:
    causes = (status.get("details") or {}).get("causes") or []
    return "\n  ".join(f"{cause.get('field', '')}: {cause.get('message', '')}".lstrip(": ") for cause in causes)
