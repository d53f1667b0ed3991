"""A node tier that stays."""

from __future__ import annotations

from tests.cluster.tier.supervisor import Kept
from tests.node.tier.cluster import NodeTier


class KeptNode(Kept):
    """As Kept; one at a time, for they share what the cache keeps of images."""

    tier = NodeTier
    module = "tests.node.tier"
    default = "node"
    make = "node"
    usage = """\
A Kubernetes cluster runs with one real node, an S3 server, an image registry, the training operator and KServe.
kubeconfig: {kubeconfig}
logs:       {logs}

    eval "$(python -m tests.node.tier env{name})"        # KUBECONFIG, kubectl and helm for this shell
    kubectl get nodes
    pytest tests/node                                    # uses this cluster instead of starting one

It ends with: {down}"""

    def environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig), "RUNWRIGHT_TEST_NODE": str(self.state_file)}
