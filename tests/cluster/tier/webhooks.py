"""Webhooks without a kube-proxy: the API server calls a controller by URL, under the name of its Service.

The certificates of the controllers are for that name, so the API server reads a hosts file of ours; a controller, in
turn, sees its certificates at the one place where it looks.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

SERVING_CERTS = Path("/tmp/k8s-webhook-server/serving-certs")
HOSTS_FILE = Path("/etc/hosts")


def by_url(configuration: Manifest, host: str, port: int, authority: bytes = b"") -> Manifest:
    """A webhook configuration whose clients call https://HOST:PORT/PATH instead of a Service. No authority: the
    controller puts its own in."""
    changed = copy.deepcopy(configuration)
    changed["metadata"].pop("creationTimestamp", None)
    for webhook in changed["webhooks"]:
        path = webhook["clientConfig"]["service"]["path"]
        webhook["clientConfig"] = {"url": f"https://{host}:{port}{path}"}
        if authority:
            webhook["clientConfig"]["caBundle"] = base64.b64encode(authority).decode()
    return changed


def hosts_file(names: Sequence[str]) -> str:
    """A hosts file that finds services on the loopback device."""
    return f"127.0.0.1 localhost {' '.join(names)}\n"


def seeing(command: Sequence[str], binds: Mapping[Path, Path]) -> list[str]:
    """A command that finds each key's path at the place of its value, in a mount namespace of its own; it keeps its
    process id."""
    if SERVING_CERTS in binds.values():
        SERVING_CERTS.mkdir(parents=True, exist_ok=True)
    script = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" && shift 2 || exit 1; done; shift; exec "$@"'
    pairs = [str(path) for pair in binds.items() for path in pair]
    return ["unshare", "--mount", "--", "sh", "-c", script, "sh", *pairs, "--", *command]
