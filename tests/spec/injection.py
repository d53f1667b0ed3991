"""Texts that mean something to a shell, a template, the kubelet, a path or a reader, in each text of the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.spec.documents import put, with_text
from tests.spec.leaves import VALUE, Leaf, Path, candidates, leaves, nodes

PAYLOADS = (
    "{{workflow.name}}",
    "{{$.inputs.parameters['base']}}",
    "$(AWS_SECRET_ACCESS_KEY)",
    "${HOME}`id`",
    "; rm -rf / #",
    "'\"\\ && true",
    "--config=/etc/passwd",
    "../../../etc/shadow",
    "%s%n<script>alert(1)</script>",
    "line\nkind: Secret",
    "\u202egnp.exe",
    "nul\x00byte",
    "other-namespace/secret",
)

BEYOND = (
    "podTemplate",
    "securityContext",
    "privileged",
    "hostPath",
    "hostNetwork",
    "hostPID",
    "serviceAccountName",
    "volumes",
    "initContainers",
    "command",
    "env",
    "namespace",
)
"""What pods have and no part of the spec does."""


class Attempt(NamedTuple):
    """A spec with a payload in one of its texts."""

    leaf: Leaf
    text: str
    spec: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.leaf}: {self.text!r}"


def attempts() -> Iterator[Attempt]:
    """Each payload alone and behind a good value, in each text, and as the key of each mapping."""
    for leaf in leaves():
        if leaf.schema.get("type") != "string" and "x-kubernetes-preserve-unknown-fields" not in leaf.schema:
            continue
        good = str(candidates(leaf.schema)[0])
        for payload in PAYLOADS:
            yield Attempt(leaf, payload, with_text(leaf, payload))
            if leaf.is_text:
                yield Attempt(leaf, good + payload, with_text(leaf, good + payload))
            if leaf.path[-1] == VALUE:
                yield Attempt(leaf, payload, put(with_text(leaf, good), leaf.path[:-1], {payload: good}))


def closed_parts() -> Iterator[Path]:
    """Every part of the spec that has named fields, the spec itself included."""
    return (path for path, schema in nodes() if "properties" in schema)
