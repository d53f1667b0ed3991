"""Kubeconfigs, as plain data: who talks to which API server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.cluster.tier.certificates import Pair, write_private


def for_certificate(server: str, authority: bytes, pair: Pair) -> dict[str, Any]:
    """A kubeconfig for the holder of a client certificate."""
    user = {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}
    return _around({"server": server, "certificate-authority-data": _encoded(authority)}, user)


def for_token(like: dict[str, Any], token: str) -> dict[str, Any]:
    """A kubeconfig for the holder of a bearer token, of the cluster that another kubeconfig uses."""
    context = _named(like["contexts"], like["current-context"])["context"]
    cluster = _named(like["clusters"], context["cluster"])["cluster"]
    return _around(cluster, {"token": token})


def write(path: Path, config: dict[str, Any]) -> Path:
    """Keeps a kubeconfig for its owner's eyes; JSON is YAML."""
    write_private(path, json.dumps(config, indent=1).encode())
    return path


def _around(cluster: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
    name = "runwright-tier"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
