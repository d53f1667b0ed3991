"""The node tier: the control plane and the controllers of the cluster tier, with one real node, S3 and a registry.

    with NodeTier.start(folder) as tier: ...        tier.api, tier.registry, tier.s3, tier.processes["s3"].pause()

The node's programs live in namespaces of their own (init.py, inside.py): what they mount and start ends with them. The
images that containerd has unpacked and the registry's blobs stay in the cache, so one such tier runs at a time.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import grpc

from tests.cluster.tier import cluster, controlplane, training_operator
from tests.cluster.tier.binaries import binary, cache
from tests.cluster.tier.network import INSIDE, SLOTS, Network
from tests.cluster.tier.probes import answers
from tests.cluster.tier.processes import Process
from tests.node.tier import archives, inside, s3, services, settings
from tests.node.tier.place import Place, output
from tests.node.tier.s3 import S3

Manifest = dict[str, Any]

REGISTRY_PORT = 5000
PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "conntrack", "mount")
PLUGINS = ("bridge", "host-local", "loopback")
PACKAGES = "containerd runc containernetworking-plugins iptables conntrack"
TURN = 3600.0  # seconds that a tier waits for another one to end


class NodeTier(cluster.Tier, Place):
    """A cluster with one node that computes."""

    programs = (*cluster.CONTROL_PLANE, *cluster.TOOLS, "kubelet", "kube-proxy", "coredns", "crane", "versitygw")
    components: Mapping[str, tuple[str, list[str]]] = {
        **cluster.COMPONENTS,
        "kubelet": (f"system:node:{settings.NAME}", ["system:nodes"]),
        "kube-proxy": ("system:kube-proxy", []),
        "coredns": ("runwright-tier-coredns", ["system:masters"]),
    }
    node_count = 1
    slots = range(SLOTS - 1, -1, -1)  # the same one each time, unless it is taken: image references carry the address

    def __init__(self, folder: Path, network: Network) -> None:
        super().__init__(folder, network)
        self.registry = f"{self.address}:{REGISTRY_PORT}"
        self.s3 = S3.at(self.address)
        self._cgroup = f"runwright-{network.name}"
        self._node: Process | None = None  # its first process
        self._turn: IO[str] | None = None

    @classmethod
    def refusal(cls) -> str | None:
        if reason := super().refusal():
            return reason
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        missing += [name for name in PLUGINS if not (settings.CNI_PROGRAMS / name).exists()]
        if missing:
            return f"{', '.join(missing)} not installed; Debian's packages are {PACKAGES}"
        if "\toverlay\n" not in Path("/proc/filesystems").read_text():
            return "the kernel has no overlay file system"
        return None

    @classmethod
    def start(cls, folder: Path) -> Self:
        """As Tier.start; waits for another node tier of the same cache to end."""
        if reason := cls.refusal():
            raise RuntimeError(reason)
        turn = _turn()
        try:
            tier = super().start(folder)
        except BaseException:
            turn.close()
            raise
        tier._turn = turn
        return tier

    @property
    def enter(self) -> Sequence[str]:
        return self.network.enter

    @property
    def enter_node(self) -> list[str]:
        """What to put before a command that shall run on the node: its network, mounts and processes."""
        if self._node is None or (pid := self._node.pid) is None:
            raise RuntimeError("the node does not run")
        return [*self.network.enter, *inside.enter(pid)]

    def ctr(self, *arguments: str) -> str:
        """Runs containerd's own client, on the images and containers of the kubelet."""
        return output([*self.enter_node, "ctr", "--namespace", "k8s.io", *arguments])

    def stop(self) -> None:
        """Ends the node with every container in it, then all others."""
        if self._node is not None:
            self._node.kill()
        super().stop()
        inside.remove_cgroup(self._cgroup)
        if self._turn is not None:
            self._turn.close()

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "registry": self.registry, "s3": vars(self.s3), "address": self.address}

    def _node_objects(self) -> list[Manifest]:
        return services.objects(self.address)

    def _init_container(self) -> str:
        """The node has this image from the beginning, so workers wait for nothing but their master's name."""
        return training_operator.init_container(archives.pause()[0], ["/pause", "resolve", "{{.MasterAddr}}"])

    def _identities(self) -> None:
        super()._identities()
        user, groups = self.components["kubelet"]
        hosts = [self.address, settings.NAME]
        self._authority.issue(user, groups=groups, hosts=hosts).write(self.certificates, "kubelet")

    def _node_processes(self) -> Sequence[str]:
        self._add_servers()
        self._start_containerd()
        kubelet = self.folder / "kubelet.yaml"
        kubelet.write_text(settings.kubelet(self.folder, self.certificates, self.address, self._cgroup))
        (self.folder / "resolv.conf").write_text(f"nameserver {self.address}\n")
        command = settings.kubelet_command(binary("kubelet"), kubelet, self.kubeconfigs / "kubelet", self.address)
        self._add_inside("kubelet", command, answers(f"http://{self.address}:{settings.KUBELET_HEALTH}/healthz"))
        proxy = self.folder / "kube-proxy.yaml"
        proxy.write_text(settings.proxy(self.kubeconfigs / "kube-proxy", self.address))
        ready = answers(f"http://{self.address}:{settings.PROXY_HEALTH}/healthz")
        self._add_inside("kube-proxy", [str(binary("kube-proxy")), f"--config={proxy}"], ready)
        return ("registry", "s3", "coredns", "kubelet", "kube-proxy")

    def _others(self) -> None:
        super()._others()
        self.s3.make_buckets()

    def _add_servers(self) -> None:
        blobs, objects = _kept("registry"), self.folder / "s3"
        blobs.mkdir(parents=True, exist_ok=True)
        objects.mkdir()
        registry = [str(binary("crane")), "registry", "serve", f"--address={self.registry}", f"--disk={blobs}"]
        self._add("registry", registry, answers(f"http://{self.registry}/v2/"))
        gateway = s3.command(binary("versitygw"), self.address, objects)
        self._add("s3", gateway, answers(f"{self.s3.endpoint}{s3.HEALTH}"), s3.serving(self.s3))
        corefile = self.folder / "Corefile"
        corefile.write_text(settings.corefile(self.kubeconfigs / "coredns", self.address))
        coredns = [str(binary("coredns")), "-conf", str(corefile)]
        self._add("coredns", coredns, answers(f"http://{self.address}:{settings.DNS_HEALTH}/ready"))

    def _start_containerd(self) -> None:
        # kube-proxy rewrites what is on its way: without any way to them, Services would be out of reach from here.
        self.run("ip", "route", "add", controlplane.SERVICE_RANGE, "dev", INSIDE)
        inside.make_cgroup(self._cgroup)
        binds = {
            _kept("containerd"): "/var/lib/containerd",
            self.folder / "kubelet": "/var/lib/kubelet",
            self.folder / "node-log": "/var/log",
        }
        for folder in binds:
            folder.mkdir(parents=True, exist_ok=True)
        ready = self.folder / "node-ready"
        first = [*self.enter, *inside.first(binds, ready)]
        self._node = Process("node", first, log=self._log("node"), ready=ready.exists)
        self._node.start()
        image, archive = archives.pause()
        (self.folder / "cni").mkdir()
        (self.folder / "cni" / "10-pods.conflist").write_text(settings.pod_network())
        hosts = self.folder / "registries" / self.registry
        hosts.mkdir(parents=True)
        (hosts / "hosts.toml").write_text(settings.plain_registry(self.registry))
        config = self.folder / "containerd.toml"
        config.write_text(settings.containerd(self.folder, image))
        containerd = self._add_inside("containerd", ["containerd", "--config", str(config)], self._containerd_answers)
        containerd.start()
        if left := self.ctr("containers", "ls", "--quiet").split():  # of a tier before; their pods are of another world
            self.ctr("containers", "rm", *left)
            containerd.restart()
        if image not in self.ctr("images", "ls", "--quiet").split():
            self.ctr("images", "import", str(archive))

    def _containerd_answers(self) -> bool:
        """Whether it answers what the kubelet asks first, and gives up without."""
        socket = f"unix:/proc/{self._node.pid}/root/run/containerd/containerd.sock"
        with grpc.insecure_channel(socket) as channel:
            try:
                channel.unary_unary("/runtime.v1.RuntimeService/Version")(b"", timeout=2)
            except grpc.RpcError:
                return False
        return True

    def _add_inside(self, name: str, arguments: Sequence[str], ready: Any) -> Process:
        command = [*self.enter_node, *arguments]
        process = inside.NodeProcess(name, command, log=self._log(name), ready=ready)
        self.processes[name] = process
        return process


def _kept(name: str) -> Path:
    return cache() / "node" / name


def _turn() -> IO[str]:
    """The lock of what the cache keeps for the node; the kernel frees it should its holder die."""
    cache().joinpath("node").mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _kept(".lock").open("w")
    end = time.monotonic() + TURN
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > end:
                lock.close()
                raise RuntimeError(f"another node tier has used {_kept('')} for {TURN:.0f} s") from None
            if not told:
                print("waiting for another node tier to end", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.5)
