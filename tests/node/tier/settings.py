"""What the node's programs are told: containerd, kubelet, kube-proxy, CoreDNS, the pods' network. No I/O here.

Paths are those inside the node, where /run is its own and /var/lib/* are bound to the tier's folders (cluster.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "node-1"
PODS = "10.244.0.0/16"
DOMAIN = "cluster.local"
SOCKET = "/run/containerd/containerd.sock"
CNI_PROGRAMS = Path("/usr/lib/cni")  # of Debian's containernetworking-plugins
KUBELET_PORT, KUBELET_HEALTH, PROXY_HEALTH, DNS_HEALTH = 10250, 10248, 10256, 8181


def containerd(folder: Path, sandbox_image: str) -> str:
    """Where CAP_SYS_RESOURCE is lacking nobody may lower an oom_score_adj; `restrict_oom_score_adj` does without."""
    return f"""\
version = 2
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{folder / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder / "registries"}"
"""


def plain_registry(registry: str) -> str:
    """A hosts.toml: this registry speaks HTTP."""
    return f'server = "http://{registry}"\n[host."http://{registry}"]\n  capabilities = ["pull", "resolve"]\n'


def pod_network() -> str:
    """A bridge; whatever leaves it has the address of the tier, the only one that the machine knows a way back to."""
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]})


def kubelet(folder: Path, certificates: Path, address: str, cgroup: str) -> str:
    """Image garbage collection is off (images are meant to stay), eviction waits until the disk is as good as full."""
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "port": KUBELET_PORT,
        "healthzBindAddress": address,
        "healthzPort": KUBELET_HEALTH,
        "tlsCertFile": str(certificates / "kubelet.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [address],
        "clusterDomain": DOMAIN,
        "resolvConf": str(folder / "resolv.conf"),
        "oomScoreAdj": 0,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }
    return json.dumps(config, indent=1)


def kubelet_command(binary: Path, config: Path, kubeconfig: Path, address: str) -> list[str]:
    return [
        *(str(binary), f"--config={config}", f"--kubeconfig={kubeconfig}"),
        *(f"--hostname-override={NAME}", f"--node-ip={address}"),
    ]


def proxy(kubeconfig: Path, address: str) -> str:
    """No limits for conntrack: they are the whole machine's."""
    config: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": PODS,
        "hostnameOverride": NAME,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "healthzBindAddress": f"{address}:{PROXY_HEALTH}",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
    }
    return json.dumps(config, indent=1)


def corefile(kubeconfig: Path, address: str) -> str:
    """Answers for the cluster; every other name does not exist, which is told at once."""
    return f"""\
{DOMAIN} in-addr.arpa {{
    bind {address}
    errors
    ready {address}:{DNS_HEALTH}
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
. {{
    bind {address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
