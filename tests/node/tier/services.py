"""Services of the cluster whose servers are processes beside it: no selector, one address."""

from __future__ import annotations

from typing import Any

from tests.node.tier import s3

Manifest = dict[str, Any]

NAMESPACE = "kubeflow"
PIPELINES_PORT = 8888
OUTSIDE = {"ml-pipeline": PIPELINES_PORT, "seaweedfs": s3.PORT}


def objects(address: str) -> list[Manifest]:
    """The Service and the EndpointSlice of each, under the names that Kubeflow gives them."""
    return [manifest for name, port in OUTSIDE.items() for manifest in _service(name, port, address)]


def _service(name: str, port: int, address: str) -> list[Manifest]:
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "runwright-tier"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"ports": [{**ports[0], "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]
