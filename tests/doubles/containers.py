"""The containers of pods on simulated nodes, as processes of this machine: what a kubelet and a runtime would run.

Each process sees this machine's files with a writable layer of its own above them, at the paths that the pod mounts:
ConfigMaps, empty folders, the token of its ServiceAccount. How it ends is written on the pod as the annotations that
the cluster tier's kwok Stages read. Needs root, for mounts.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.cluster.tier.api import Api

_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_]*)\))")
_POLL = 0.1
_GRACE = 2.0
# A layer in memory above all files of this machine; what the pod mounts is copied into it.
_ENTER = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
cp -a "$2/." "$1/upper"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
root=$1
shift 2
exec chroot "$root/root" "$@"
"""


class Containers:
    """The first container of each pod that the label selector chooses, once the pod is Running."""

    def __init__(self, api: Api, kubeconfig: Path, folder: Path, labels: str) -> None:
        self._api = api
        cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
        self._server = urlsplit(cluster["server"])
        self._authority = base64.b64decode(cluster["certificate-authority-data"])
        self._folder = folder
        self._labels = labels
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def log(self, pod: str) -> str:
        return (self._folder / pod / "log").read_text(errors="replace")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        for process in self._processes.values():
            if process.poll() is None:
                _kill(process.pid)
                process.wait()

    def _work(self) -> None:
        while not self._ended.wait(_POLL):
            with suppress(Exception):  # the API server may be away
                found = self._api.list("v1", "Pod", labels=self._labels)
                for pod in found:
                    self._look(pod)
                self._sweep({pod["metadata"]["uid"] for pod in found})

    def _look(self, pod: Mapping[str, Any]) -> None:
        metadata = pod["metadata"]
        process = self._processes.get(metadata["uid"])
        if process is None:
            if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in metadata:
                self._processes[metadata["uid"]] = self._run(pod)
        elif "deletionTimestamp" in metadata:
            process.terminate()
        elif process.poll() is not None and "sim/exit-code" not in metadata.get("annotations", {}):
            code = process.returncode if process.returncode >= 0 else 128 - process.returncode
            says = {"metadata": {"annotations": {"sim/exit-code": str(code), "sim/run-ms": "0"}}}
            self._api.merge("v1", "Pod", metadata["name"], says, metadata["namespace"])

    def _sweep(self, there: set[str]) -> None:
        for uid in set(self._processes) - there:
            process = self._processes.pop(uid)
            process.terminate()  # kwok takes a deleted pod away at once, a kubelet lets it have its seconds
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                _kill(process.pid)
                process.wait()

    def _run(self, pod: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        metadata, container = pod["metadata"], pod["spec"]["containers"][0]
        folder = self._folder / metadata["name"]
        layer = folder / "layer"
        (folder / "mount").mkdir(parents=True)
        self._fill(layer, pod)
        environment = self._environment(pod)
        words = [_expanded(word, environment) for word in [*container.get("command", ()), *container.get("args", ())]]
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _ENTER, "enter", str(folder / "mount"), str(layer), *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _fill(self, layer: Path, pod: Mapping[str, Any]) -> None:
        namespace, spec = pod["metadata"]["namespace"], pod["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for mount in spec["containers"][0].get("volumeMounts", ()):
            volume = volumes[mount["name"]]
            if "projected" in volume:  # the token, which comes below
                continue
            place = layer / mount["mountPath"].lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            if "configMap" in volume:
                config = self._api.get("v1", "ConfigMap", volume["configMap"]["name"], namespace)
                for name, content in config["data"].items():
                    (place / name).write_text(content)
        account = layer / _ACCOUNT
        account.mkdir(parents=True)
        (account / "namespace").write_text(namespace)
        (account / "token").write_text(self._api.token(namespace, spec["serviceAccountName"]))
        (account / "ca.crt").write_bytes(self._authority)

    def _environment(self, pod: Mapping[str, Any]) -> dict[str, str]:
        found = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KUBERNETES_SERVICE_HOST": str(self._server.hostname),
            "KUBERNETES_SERVICE_PORT": str(self._server.port),
        }
        for entry in pod["spec"]["containers"][0].get("env", ()):
            source = entry.get("valueFrom", {})
            if "fieldRef" in source:
                found[entry["name"]] = pod["metadata"][source["fieldRef"]["fieldPath"].removeprefix("metadata.")]
            elif "secretKeyRef" in source:
                key = source["secretKeyRef"]
                secret = self._api.get("v1", "Secret", key["name"], pod["metadata"]["namespace"])
                found[entry["name"]] = base64.b64decode(secret["data"][key["key"]]).decode()
            else:
                found[entry["name"]] = _expanded(entry.get("value", ""), found)
        return found


@contextmanager
def containers(api: Api, kubeconfig: Path, folder: Path, labels: str) -> Iterator[Containers]:
    """They run for the time of a `with` block."""
    found = Containers(api, kubeconfig, folder, labels)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """As the kubelet does it: `$(NAME)` for a variable that is set, `$$` for a dollar sign."""

    def expand(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else environment.get(found[2], found[0])

    return _REFERENCE.sub(expand, text)


def _kill(pid: int) -> None:
    """SIGKILL to a process and all below it, as the end of a container's first process is the end of all."""
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            _kill(int(child))
        os.kill(pid, signal.SIGKILL)
