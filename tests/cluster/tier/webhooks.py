"""Webhooks without a kube-proxy: the API server calls a controller by URL, and trusts the tier's own authority."""

from __future__ import annotations

import base64
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.tier.certificates import Authority

Manifest = dict[str, Any]

SERVING_CERTS = Path("/tmp/k8s-webhook-server/serving-certs")  # where controllers look, and cannot be told otherwise


def by_url(configuration: Manifest, port: int, authority: bytes) -> Manifest:
    """A webhook configuration whose clients call https://127.0.0.1:PORT/PATH instead of a Service."""
    changed = copy.deepcopy(configuration)
    changed["metadata"].pop("creationTimestamp", None)
    for webhook in changed["webhooks"]:
        path = webhook["clientConfig"]["service"]["path"]
        bundle = base64.b64encode(authority).decode()
        webhook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
    return changed


def serving_certificates(folder: Path, authority: Authority, name: str, hosts: Sequence[str]) -> Path:
    """A folder with tls.crt, tls.key and ca.crt, the names that controller-runtime wants."""
    found = folder / f"{name}-webhook"
    found.mkdir(mode=0o700)
    pair = authority.issue(name, hosts=["127.0.0.1", *hosts])
    pair.write(found, "tls")
    (found / "ca.crt").write_bytes(authority.pair.certificate)
    return found


def with_certificates(folder: Path, command: Sequence[str]) -> list[str]:
    """A command that sees `folder` where controllers look for certificates, in a mount namespace of its own."""
    SERVING_CERTS.mkdir(parents=True, exist_ok=True)
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    return ["unshare", "--mount", "--", "sh", "-c", script, "sh", str(folder), str(SERVING_CERTS), *command]
