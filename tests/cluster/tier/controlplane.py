"""The control plane as argument lists: etcd, kube-apiserver, kube-controller-manager, kube-scheduler. No I/O here."""

from __future__ import annotations

from pathlib import Path

PORT = 6443
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"  # of the Service `kubernetes`
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVER_HOSTS = (
    "127.0.0.1",
    "localhost",
    SERVICE_ADDRESS,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
# On two busy cores the defaults (20 to 50 requests a second) would be what a test of a thousand objects measures.
_BUSY = ("--kube-api-qps=300", "--kube-api-burst=600")


def etcd(folder: Path, address: str) -> list[str]:
    """Clients on the loopback device of the namespace; nothing is synced to the disk, for nothing outlives a tier."""
    return [
        *("--name=tier", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn"),
        *("--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379"),
        *("--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380"),
        *("--initial-cluster=tier=http://127.0.0.1:2380", f"--listen-metrics-urls=http://{address}:2381"),
        "--quota-backend-bytes=4294967296",
    ]


def apiserver(certificates: Path, address: str) -> list[str]:
    """RBAC and Node authorization, Pod Security and admission policies in-process. MutatingAdmissionPolicy, a beta,
    lets the tier say in a namespace how its pods behave (nodes.py)."""
    return [
        *("--etcd-servers=http://127.0.0.1:2379", f"--bind-address={address}", f"--secure-port={PORT}"),
        *(f"--advertise-address={address}", f"--service-cluster-ip-range={SERVICE_RANGE}"),
        *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"),
        *("--feature-gates=MutatingAdmissionPolicy=true", "--runtime-config=admissionregistration.k8s.io/v1beta1=true"),
        *("--kubelet-preferred-address-types=InternalIP", "--profiling=false"),
        f"--client-ca-file={certificates / 'ca.crt'}",
        *_serving(certificates),
        f"--kubelet-client-certificate={certificates / 'admin.crt'}",
        f"--kubelet-client-key={certificates / 'admin.key'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={certificates / 'tokens.crt'}",
        f"--service-account-signing-key-file={certificates / 'tokens.key'}",
    ]


def controller_manager(certificates: Path, kubeconfigs: Path, address: str) -> list[str]:
    """Every default controller, each with the rights of its own service account."""
    return [
        *_component(certificates, kubeconfigs / "kube-controller-manager", address),
        *("--use-service-account-credentials", *_BUSY),
        f"--service-account-private-key-file={certificates / 'tokens.key'}",
        f"--root-ca-file={certificates / 'ca.crt'}",
        f"--cluster-signing-cert-file={certificates / 'ca.crt'}",
        f"--cluster-signing-key-file={certificates / 'ca.key'}",
    ]


def scheduler(certificates: Path, kubeconfigs: Path, address: str) -> list[str]:
    return [*_component(certificates, kubeconfigs / "kube-scheduler", address), *_BUSY]


def _component(certificates: Path, kubeconfig: Path, address: str) -> list[str]:
    names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [
        *(f"--{name}={kubeconfig}" for name in names),
        *("--leader-elect=false", f"--bind-address={address}", *_serving(certificates)),
        *("--authentication-skip-lookup", "--profiling=false"),
    ]


def _serving(certificates: Path) -> tuple[str, str]:
    return (
        f"--tls-cert-file={certificates / 'server.crt'}",
        f"--tls-private-key-file={certificates / 'server.key'}",
    )
