"""What a namespace needs before an operator of its own can work there: the accounts and rights that the chart gives."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml

from tests.cluster.tier.api import Api
from tests.golden.rendering import NO_CRD, render

Manifest = dict[str, Any]

OPERATOR = "runwright-operator"
RUN = "runwright-run"
_STANDIN = "the-namespace"
_KINDS = ("ServiceAccount", "Role", "RoleBinding")


def grant(api: Api, namespace: str) -> None:
    """Makes the namespace, with the operator in it too, as `helm install --set namespaces={NAMESPACE}` does."""
    api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"test": "operator"}}}
    )
    for manifest in yaml.safe_load(_rendered().replace(_STANDIN, namespace)):
        api.apply(manifest)


@cache
def _rendered() -> str:
    """The chart's accounts, Roles and bindings for one namespace; rendered once, Helm takes a while."""
    values = {**NO_CRD, "namespaces": [_STANDIN], "policies": {"enabled": False}, "rbac": {"aggregate": False}}
    objects = yaml.safe_load_all(render(_STANDIN, values))
    return yaml.safe_dump([one for one in objects if one and one["kind"] in _KINDS])
