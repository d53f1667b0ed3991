"""The tier itself: a control plane with simulated GPU nodes, the training operator and KServe, in a network of its own.

    with Tier.start(folder) as tier: ...        tier.kubeconfig, tier.api, tier.processes["kube-apiserver"].pause()

What comes before what: certificates, etcd, API server; then every CRD, for the garbage collector learns of kinds when
it starts and again only after half a minute; then all others side by side.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.cluster.tier import controlplane, kserve, kubeconfig, nodes, peers, training_operator, webhooks
from tests.cluster.tier.api import Api, Refused
from tests.cluster.tier.binaries import GO_NEEDED, binary, module, present
from tests.cluster.tier.certificates import Authority, signing_pair, write_private
from tests.cluster.tier.network import SLOTS, Network
from tests.cluster.tier.probes import answers
from tests.cluster.tier.processes import Process, spawn

Manifest = dict[str, Any]

CRD = Path(__file__).parents[3] / "manifests/crd/trainingruns.yaml"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "training-operator", "kserve")
TOOLS = ("kubectl", "helm")
COMPONENTS = {  # user and groups of the control plane's own clients
    "admin": ("runwright-tier-admin", ["system:masters"]),
    "kube-controller-manager": ("system:kube-controller-manager", []),
    "kube-scheduler": ("system:kube-scheduler", []),
    "kwok": ("runwright-tier-kwok", ["system:masters"]),
    "training-operator": (training_operator.USER, ["system:serviceaccounts"]),
    "kserve": (kserve.USER, ["system:serviceaccounts"]),
}
PATIENCE = 180.0  # seconds; on a busy machine everything takes its time


def refusal(programs: Sequence[str] = (*CONTROL_PLANE, *TOOLS, "kwok")) -> str | None:
    """Why this machine cannot run the tier that needs these programs; None when it can."""
    if not sys.platform.startswith("linux"):
        return "the cluster tier needs Linux (network namespaces)"
    if os.geteuid() != 0:
        return "the cluster tier needs root, to make a network namespace"
    if missing := [tool for tool in ("ip", "nsenter", "unshare", "setpriv") if shutil.which(tool) is None]:
        return f"{', '.join(missing)} not installed; install iproute2 and util-linux"
    if not all(present(name) for name in programs) and shutil.which("go") is None:
        return GO_NEEDED
    return None


class Tier:
    """A running cluster. `folder` holds its certificates, logs and data, and is the caller's to remove."""

    programs: Sequence[str] = (*CONTROL_PLANE, *TOOLS, "kwok")
    components: Mapping[str, tuple[str, list[str]]] = COMPONENTS
    node_count = nodes.NODES
    slots: Iterable[int] = range(SLOTS)

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder = folder
        self.network = network
        self.address = network.inside
        self.server = f"https://{self.address}:{controlplane.PORT}"
        self.logs = folder / "logs"
        self.certificates = folder / "certificates"
        self.kubeconfigs = folder / "kubeconfigs"
        self.processes: dict[str, Process] = {}
        self._authority = Authority("runwright-tier")
        self._api: Api | None = None

    @classmethod
    def refusal(cls) -> str | None:
        """Why this machine cannot run it; None when it can."""
        return refusal(cls.programs)

    @classmethod
    def start(cls, folder: Path) -> Self:
        """Starts everything, building what is missing. Raises RuntimeError, with the last log lines of what failed."""
        if reason := cls.refusal():
            raise RuntimeError(reason)
        for name in cls.programs:
            binary(name)
        tier = cls(folder, Network.claim(cls.slots))
        try:
            tier._up()
        except BaseException:
            tier.stop()
            raise
        return tier

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; works on this machine, outside of the tier's network as well as inside."""
        return self.kubeconfigs / "admin"

    @property
    def api(self) -> Api:
        if self._api is None:
            self._api = Api.from_kubeconfig(self.kubeconfig)
        return self._api

    def add(self, *wanted: peers.Peer) -> None:
        """Adds controllers that run from now on, building what is missing; those that run already stay."""
        new = [peer for peer in wanted if peer.name not in self.processes]
        for peer in new:
            binary(peer.name)
        crds = [crd for peer in new for crd in peer.definitions(module(peer.name))]
        self._install(crds)
        self._served(crds)
        for peer in new:
            self._start_peer(peer)
        if new:  # the garbage collector learns of new kinds when it starts, and else after half a minute
            self.processes["kube-controller-manager"].restart()

    def _start_peer(self, peer: peers.Peer) -> None:
        objects = peer.objects(module(peer.name), self._authority.pair.certificate)
        self._install([_namespace(peer.namespace), *objects])
        config = self._identity(peer.name, peer.user, ["system:serviceaccounts"])
        folder = self._webhook(peer.name)
        command = [str(binary(peer.name)), f"--kubeconfig={config}", *peer.command(folder, self.address)]
        if peer.webhook:
            self._authority.issue(peer.account, hosts=[peer.host]).write(folder, "tls")
            command = webhooks.seeing(command, {folder: webhooks.SERVING_CERTS})
        ready = answers(f"http://{self.address}:{peer.probe_port}/readyz")
        self._add(peer.name, command, ready, {"POD_NAMESPACE": peer.namespace}).start()

    def popen(
        self, arguments: Sequence[str], *, name: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a program inside the tier's network; it dies with the tier's starter. Its output: logs/NAME.log."""
        return spawn([*self.network.enter, *arguments], log=self._log(name), environment=environment)

    def stop(self) -> None:
        """Ends every process, the API server and etcd last, and removes the network."""
        first = [process for name, process in self.processes.items() if name not in ("kube-apiserver", "etcd")]
        if first:
            with ThreadPoolExecutor(len(first)) as pool:
                list(pool.map(lambda process: process.stop(), first))
        for name in ("kube-apiserver", "etcd"):
            if name in self.processes:
                self.processes[name].stop(grace=3)
        self.network.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _up(self) -> None:
        for folder in (self.folder, self.logs, self.certificates, self.kubeconfigs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._identities()
        self._control_plane()
        crds = self._crds()
        self._install(crds)
        self._served(crds)
        self._install(self._objects())
        self._others()
        self._nodes_ready()

    def _identities(self) -> None:
        self._authority.pair.write(self.certificates, "ca")
        signing_pair().write(self.certificates, "tokens")
        hosts = [*controlplane.SERVER_HOSTS, self.address]
        self._authority.issue("kube-apiserver", hosts=hosts).write(self.certificates, "server")
        for component, (user, groups) in self.components.items():
            self._identity(component, user, groups)

    def _identity(self, component: str, user: str, groups: Sequence[str]) -> Path:
        """A certificate for a component, and its kubeconfig."""
        pair = self._authority.issue(user, groups=groups)
        pair.write(self.certificates, component)
        config = kubeconfig.for_certificate(self.server, self._authority.pair.certificate, pair)
        return kubeconfig.write(self.kubeconfigs / component, config)

    def _control_plane(self) -> None:
        etcd = [str(binary("etcd")), *controlplane.etcd(self.folder, self.address)]
        self._add("etcd", etcd, answers(f"http://{self.address}:2381/readyz")).start()
        hosts = self.folder / "hosts"
        hosts.write_text(webhooks.hosts_file([training_operator.HOST, kserve.HOST, *peers.HOSTS]))
        server = webhooks.seeing(
            [str(binary("kube-apiserver")), *controlplane.apiserver(self.certificates, self.address)],
            {hosts: webhooks.HOSTS_FILE},
        )
        self._add("kube-apiserver", server, answers(f"{self.server}/readyz", self._ca)).start()

    def _crds(self) -> list[Manifest]:
        ours = yaml.load(CRD.read_text(), Loader=yaml.CSafeLoader)
        return [ours, *training_operator.crds(module("training-operator")), *kserve.crds(module("kserve"))]

    def _objects(self) -> list[Manifest]:
        return [
            *(_namespace(name) for name in (training_operator.NAMESPACE, kserve.NAMESPACE)),
            *self._node_objects(),
            *training_operator.objects(module("training-operator")),
            *kserve.objects(module("kserve"), self._authority.pair.certificate),
        ]

    def _node_objects(self) -> list[Manifest]:
        return [*nodes.simulation_policy(), *(nodes.node(number) for number in range(self.node_count))]

    def _install(self, manifests: Iterable[Manifest]) -> None:
        """Creates objects side by side, namespaces before what may lie in them."""
        manifests = list(manifests)
        with ThreadPoolExecutor(8) as pool:
            for early in (True, False):
                list(pool.map(self.api.create, [m for m in manifests if (m["kind"] == "Namespace") == early]))

    def _served(self, crds: Iterable[Manifest]) -> None:
        """Waits until the API server serves the kinds: discovery tells it in far fewer bytes than the CRDs do."""

        def found(api_version: str, kind: str) -> bool:
            try:
                return bool(self.api.path(api_version, kind))
            except (LookupError, Refused):
                return False

        for crd in crds:
            group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
            for version in crd["spec"]["versions"]:
                if version["served"]:
                    api_version = f"{group}/{version['name']}"
                    _until(partial(found, api_version, kind), f"{kind} of {api_version} is not served")

    def _others(self) -> None:
        """The rest of the control plane and the controllers, side by side."""
        paths = (self.certificates, self.kubeconfigs, self.address)
        commands = {
            "kube-controller-manager": controlplane.controller_manager(*paths),
            "kube-scheduler": controlplane.scheduler(*paths),
        }
        ports = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
        for name, arguments in commands.items():
            ready = answers(f"https://{self.address}:{ports[name]}/healthz", self._ca)
            self._add(name, [str(binary(name)), *arguments], ready)
        self._controllers()
        for name in (*commands, *self._node_processes(), "training-operator", "kserve"):
            self.processes[name].start(wait=None)
        self._mount(training_operator.SECRET, self._webhook("training-operator"))
        for process in self.processes.values():
            process.wait(PATIENCE)

    def _node_processes(self) -> Sequence[str]:
        """Adds the processes that are the cluster's nodes. Gives the names of those to be started now."""
        config = self.folder / "kwok.yaml"
        config.write_text(nodes.kwok_config(module("kwok")))
        kwok = [str(binary("kwok")), *nodes.kwok(config, self.kubeconfigs / "kwok", self.address)]
        self._add("kwok", kwok, answers(f"http://{self.address}:{nodes.PORT}/healthz"))
        return ("kwok",)

    def _init_container(self) -> str:
        return training_operator.init_container()

    def _controllers(self) -> None:
        self._authority.issue(kserve.NAME, hosts=[kserve.HOST]).write(self._webhook("kserve"), "tls")
        template = self.folder / "init-container.yaml"
        template.write_text(self._init_container())
        name, config = "training-operator", self.kubeconfigs / "training-operator"
        command = training_operator.command(binary(name), config, template, self.address)
        self._add(
            name,
            webhooks.seeing(command, {self._webhook(name): webhooks.SERVING_CERTS}),
            answers(f"http://{self.address}:{training_operator.PROBE_PORT}/readyz"),
            {"MY_POD_NAMESPACE": training_operator.NAMESPACE},
        )
        name, config = "kserve", self.kubeconfigs / "kserve"
        command = kserve.command(binary(name), config, self.address)
        self._add(
            name,
            webhooks.seeing(command, {self._webhook(name): webhooks.SERVING_CERTS}),
            answers(f"http://{self.address}:{kserve.PROBE_PORT}/readyz"),
            {"POD_NAMESPACE": kserve.NAMESPACE, "SECRET_NAME": "kserve-webhook-server-cert"},
        )

    def _webhook(self, name: str) -> Path:
        folder = self.certificates / f"{name}-webhook"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _mount(self, secret: str, folder: Path) -> None:
        """Shows the keys of a Secret as files, as a kubelet would, once its owner has filled it."""

        def filled() -> bool:
            data = self.api.get("v1", "Secret", secret, training_operator.NAMESPACE).get("data") or {}
            for name, value in data.items():
                write_private(folder / name, base64.b64decode(value))
            return bool(data)

        _until(filled, f"the Secret {secret} stays empty")

    def _nodes_ready(self) -> None:
        def all_are() -> bool:
            found = self.api.list("v1", "Node")
            ready = [node for node in found if self.api.condition(node, "Ready").get("status") == "True"]
            return len(ready) == self.node_count and not any(node["spec"].get("taints") for node in ready)

        _until(all_are, "the nodes are not ready")

    @property
    def _ca(self) -> Path:
        return self.certificates / "ca.crt"

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _add(
        self, name: str, arguments: Sequence[str], ready: Any, environment: Mapping[str, str] | None = None
    ) -> Process:
        inside = [*self.network.enter, *arguments]
        process = Process(name, inside, log=self._log(name), ready=ready, environment=environment)
        self.processes[name] = process
        return process

    def describe(self) -> dict[str, Any]:
        """What a person wants to know."""
        return {
            "kubeconfig": str(self.kubeconfig),
            "server": self.server,
            "network": self.network.name,
            "logs": str(self.logs),
            "pid": os.getpid(),
            "processes": {name: process.pid for name, process in self.processes.items()},
        }


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"control-plane": name}}}


def _until(check: Any, otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > end:
            raise RuntimeError(f"{otherwise} after {PATIENCE:.0f} s")
        time.sleep(0.1)
