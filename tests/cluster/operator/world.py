"""One namespace with an operator of its own: a process, its own rights, and a proxy before each server it talks to.

Worlds do not see each other, so that tests run quickly and side by side on one cluster.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from runwright_operator.__main__ import ENDED
from tests.cluster.operator import rights
from tests.cluster.operator.runs import API_VERSION, KIND, Manifest, condition, status, training_run
from tests.cluster.tier import kubeconfig
from tests.cluster.tier.api import Api
from tests.cluster.tier.processes import Process
from tests.cluster.waiting import until
from tests.doubles.kfp.process import Double
from tests.doubles.proxy import Journal, Proxy

PATIENCE = 300.0
"""Seconds until a wait is given up as hanging. How long things take is measured and printed, not asserted."""
POLL = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


class Cluster:
    """The API server that the tests were given, by an administrator's kubeconfig."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.api = Api.from_kubeconfig(path)
        self.config: dict[str, Any] = yaml.safe_load(path.read_text())
        self.server: str = self._entry["server"]

    @property
    def _entry(self) -> dict[str, Any]:
        return dict(self.config["clusters"][0]["cluster"])

    def trust(self) -> ssl.SSLContext:
        authority = base64.b64decode(self._entry["certificate-authority-data"]).decode()
        return ssl.create_default_context(cadata=authority)


class Operator:
    """`python -m runwright_operator` as a process, which sees the world through proxies of its own."""

    def __init__(self, world: World, name: str, settings: Mapping[str, str]) -> None:
        self.name = name
        self.kubernetes = Proxy(
            world.cluster.server, client=name, journal=world.journal, trust=world.cluster.trust()
        ).start()
        self.pipelines = Proxy(world.kfp.url, client=name, journal=world.journal).start()
        self._port = free_port()
        config = kubeconfig.for_token(world.cluster.config, world.token())
        config["clusters"][0]["cluster"] = {"server": self.kubernetes.url}
        path = kubeconfig.write(world.folder / f"{name}.kubeconfig", config)
        environment = {
            "KUBECONFIG": str(path),
            "RUNWRIGHT_NAMESPACES": world.namespace,
            "RUNWRIGHT_POD_NAME": name,
            "RUNWRIGHT_POD_NAMESPACE": world.namespace,
            "RUNWRIGHT_HTTP_HOST": "127.0.0.1",
            "RUNWRIGHT_HTTP_PORT": str(self._port),
            "RUNWRIGHT_PIPELINES_ENDPOINT": self.pipelines.url,
            "RUNWRIGHT_STORAGE_URI": (world.folder / "storage").as_uri(),
            "RUNWRIGHT_COMPONENTS_IMAGE": "runwright.test/components:1",
            "RUNWRIGHT_LOG_FORMAT": "json",
            **{f"RUNWRIGHT_{setting.upper()}": value for setting, value in settings.items()},
        }
        self.process = Process(
            name,
            [sys.executable, "-m", "runwright_operator"],
            log=world.folder / f"{name}.log",
            ready=lambda: self.probe("readyz") == 200,
            environment=environment,
        )

    @property
    def pid(self) -> int | None:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.running

    def start(self, *, wait: bool = True) -> None:
        self.process.start(wait=PATIENCE if wait else None)

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.stop()

    def restart(self) -> None:
        self.process.restart()

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def probe(self, path: str) -> int:
        """The status that the path of its HTTP port answers with; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def memory(self) -> float:
        """Resident memory in MiB."""
        fields = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in fields if line.startswith("VmRSS"))) / 1024

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def close(self) -> None:
        self.process.resume() if self.process.running else None
        self.process.stop(grace=5)
        self.kubernetes.stop()
        self.pipelines.stop()


class World:
    """The namespace, its operators, and what a test does there. Made by the fixture `make_world`."""

    def __init__(self, cluster: Cluster, kfp: Double, folder: Path, **settings: str) -> None:
        self.cluster = cluster
        self.api = cluster.api
        self.kfp = kfp
        self.folder = folder
        self.namespace = f"t-{secrets.token_hex(4)}"
        self.journal = Journal()
        self.operators: list[Operator] = []
        self._closed = False
        self._settings = {"workers": "4", "relist_seconds": "300", "lease_retry_seconds": "0.5", **settings}
        folder.mkdir(parents=True, exist_ok=True)
        rights.grant(self.api, self.namespace)

    @property
    def operator(self) -> Operator:
        """The first one."""
        return self.operators[0]

    def token(self) -> str:
        return self.api.token(self.namespace, rights.OPERATOR)

    def add_operator(self, name: str = "operator", *, start: bool = True, **settings: str) -> Operator:
        operator = Operator(self, name, {**self._settings, **settings})
        self.operators.append(operator)
        if start:
            operator.start()
        return operator

    def close(self) -> None:
        """May be called again. What the operators did stays in the journal."""
        for operator in self.operators:
            operator.close()
        self.operators.clear()
        if self._closed:
            return
        self._closed = True
        for run in self.api.list(API_VERSION, KIND, self.namespace):
            free = {"metadata": {"finalizers": None}}
            self.api.merge(API_VERSION, KIND, run["metadata"]["name"], free, self.namespace)
        self.api.delete("v1", "Namespace", self.namespace)

    # ------------------------------------------------------------------------------------------------- what is done

    def apply(self, name: str = "penguins", **changes: Any) -> Manifest:
        """Server-side apply of a TrainingRun; `changes` are merged into the spec."""
        return self.api.apply(training_run(name, self.namespace, **changes))

    def annotate(self, name: str, **annotations: str) -> None:
        """Annotations of runwright.dev."""
        found = {f"runwright.dev/{key}": value for key, value in annotations.items()}
        self.api.merge(API_VERSION, KIND, name, {"metadata": {"annotations": found}}, self.namespace)

    def script(self, *scripts: Mapping[str, Any]) -> None:
        """How simulated steps and pods behave in this namespace, from now on; see the double of KFP."""
        self.kfp.script(*({"namespace": self.namespace, **script} for script in scripts))

    def delete(self, name: str = "penguins") -> None:
        self.api.delete(API_VERSION, KIND, name, self.namespace)

    # ------------------------------------------------------------------------------------------------- what is there

    def run(self, name: str = "penguins") -> Manifest:
        """The TrainingRun; {} when it is gone."""
        return self.api.find(API_VERSION, KIND, name, self.namespace) or {}

    def jobs(self, name: str = "penguins") -> set[str]:
        """Names of the training jobs of a TrainingRun."""
        labels = f"runwright.dev/run={name}"
        found = self.api.list("kubeflow.org/v1", "PyTorchJob", self.namespace, labels=labels)
        return {job["metadata"]["name"] for job in found}

    def service(self, name: str = "penguins") -> Manifest | None:
        return self.api.find("serving.kserve.io/v1beta1", "InferenceService", name, self.namespace)

    def records(self) -> list[Manifest]:
        return self.api.list("v1", "ConfigMap", self.namespace, labels="runwright.dev/run")

    def pipeline_runs(self, name: str = "penguins") -> list[dict[str, Any]]:
        """The KFP runs of a TrainingRun, by what they were told."""
        told = [(run, json.loads(run["parameters"].get("cluster") or "{}")) for run in self.kfp.runs()]
        return [run for run, it in told if (it.get("namespace"), it.get("name")) == (self.namespace, name)]

    # --------------------------------------------------------------------------------------------------- waiting

    def wait(
        self,
        what: str,
        check: Callable[[], Any],
        *,
        seconds: float = PATIENCE,
        meanwhile: Callable[[], None] | None = None,
    ) -> Any:
        """Waits until `check` gives something true, which is given back. Raises AssertionError with the story.

        `meanwhile` is called all the while; where it is left out, operators are kept up."""
        return until(what, check, seconds=seconds, every=POLL, story=self.story, meanwhile=meanwhile or self.keep_up)

    def wait_run(
        self,
        what: str,
        check: Callable[[Manifest], Any],
        name: str = "penguins",
        *,
        seconds: float = PATIENCE,
        meanwhile: Callable[[], None] | None = None,
    ) -> Manifest:
        """Waits until the TrainingRun is as `check` wants it."""

        def holds() -> Manifest | None:
            run = self.run(name)
            return run if run and check(run) else None

        return dict(self.wait(what, holds, seconds=seconds, meanwhile=meanwhile))

    def wait_closed(self, name: str, *, meanwhile: Callable[[], None] | None = None) -> None:
        """Waits until no KFP run of the TrainingRun is under way: that may be some seconds after its model serves."""

        def closed() -> bool:
            return all(one["state"] in ("SUCCEEDED", "FAILED", "CANCELED") for one in self.pipeline_runs(name))

        self.wait(f"the pipeline runs of {name} have closed", closed, meanwhile=meanwhile)

    def keep_up(self) -> None:
        """What a kubelet does for an operator that ended itself to be started again, as one does that could not renew
        its lease in time on a busy machine. Raises AssertionError for one that died of anything else."""
        for operator in self.operators:
            code = operator.process.ended_itself
            if code == ENDED:
                print(f"{operator.name} ended itself and is started again: {operator.process.tail(1)}")
                operator.start(wait=False)
            elif code is not None:
                raise AssertionError(f"{operator.name} died with {code}\n{self.story()}")

    def revive(self) -> None:
        """An operator that does not run is started again, whoever ended it."""
        for operator in self.operators:
            if not operator.running:
                operator.start(wait=False)

    def story(self) -> str:
        """What happened here, for a person to read."""
        from tests.cluster.operator.stories import tell

        return tell(self)

    def reason(self, kind: str = "Ready", name: str = "penguins") -> str:
        return str(condition(self.run(name), kind).get("reason", ""))

    def status(self, name: str = "penguins") -> Manifest:
        return status(self.run(name))


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
