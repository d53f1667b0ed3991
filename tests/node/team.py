"""A team's namespace on the node: its TrainingRuns, what becomes of them, and questions to their models."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.operator.runs import API_VERSION, KIND, Manifest, condition, revision, status
from tests.cluster.tier.api import Api, Refused
from tests.cluster.waiting import until
from tests.node import examples
from tests.node.tier.cluster import NodeTier
from tests.node.tier.place import GivenNode

PATIENCE = 600.0  # seconds until a wait is given up as hanging
POLL = 0.5
NODE_NAME = "workflows.argoproj.io/node-name"
PODS = ("v1", "Pod")
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
JOB = ("kubeflow.org/v1", "PyTorchJob")
LAST_LINES = 15


@dataclass
class Team:
    """`secret` is the Secret of the namespace with the credentials of the bucket."""

    node: NodeTier | GivenNode
    namespace: str
    secret: str
    folder: Path
    _asked: int = field(default=0, repr=False)

    @property
    def api(self) -> Api:
        return self.node.api

    # ------------------------------------------------------------------------------------------------- TrainingRuns

    def example(self, example: str, name: str | None = None, **changes: Any) -> Manifest:
        """The manifest of an example, with its data in the bucket."""
        manifest = examples.training_run(example, self.namespace, self.node.s3, self.secret, **changes)
        manifest["metadata"]["name"] = name or example
        return manifest

    def apply(self, manifest: Manifest) -> Manifest:
        return self.api.apply(manifest)

    def run(self, name: str) -> Manifest:
        """The TrainingRun; {} when it is gone."""
        return self.api.find(API_VERSION, KIND, name, self.namespace) or {}

    def job(self, name: str, number: int = 1) -> Manifest:
        """The PyTorchJob of a revision; {} while there is none."""
        return self.api.find(*JOB, f"{name}-r{number}", self.namespace) or {}

    def jobs(self) -> set[str]:
        """Names and uids of all PyTorchJobs."""
        found = self.api.list(*JOB, self.namespace)
        return {f"{job['metadata']['name']} {job['metadata']['uid']}" for job in found}

    def model_digest(self, name: str) -> str:
        """Of the model that the InferenceService carries."""
        service = self.api.get(*SERVICE, name, self.namespace)
        return str(service["metadata"]["annotations"]["runwright.dev/model-digest"])

    def record(self, name: str, stage: str, number: int = 1) -> Manifest:
        """What the stage's step wrote down for the operator; {} while it has not."""
        found = self.api.find("v1", "ConfigMap", f"{name}-r{number}", self.namespace) or {}
        return dict(json.loads(found.get("data", {}).get(f"{stage}.json", "{}")))

    # --------------------------------------------------------------------------------------------------------- pods

    def pods(self, labels: str) -> list[Manifest]:
        return self.api.list(*PODS, self.namespace, labels=labels)

    def training_pods(self, name: str, number: int = 1) -> list[Manifest]:
        """Those of the revision's PyTorchJob that run, the Master first."""
        found = self.pods(f"training.kubeflow.org/job-name={name}-r{number}")
        running = [pod for pod in found if pod["status"].get("phase") == "Running" and not is_ending(pod)]
        return sorted(running, key=lambda pod: pod["metadata"]["name"])

    def step_pod(self, run: Manifest, task: str) -> Manifest:
        """The pod of a task of the run's newest pipeline run that is under way; {} when none is."""
        attempt = status(run)["revisions"][-1]["pipelineRun"]["id"]
        for pod in self.pods(f"pipeline/runid={attempt}"):
            if pod["status"].get("phase") in ("Pending", "Running") and not is_ending(pod) and task_of(pod) == task:
                return pod
        return {}

    def evict(self, pod: str) -> None:
        """As a drain does: by the Eviction API."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        self.api.request("POST", self.api.path(*PODS, pod, self.namespace) + "/eviction", body)

    # ------------------------------------------------------------------------------------------------------ waiting

    def wait(self, what: str, check: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
        """Waits until `check` gives something true, which is given back. Raises AssertionError with the story."""
        return until(what, check, seconds=seconds, every=POLL, story=self.story)

    def wait_run(self, what: str, name: str, check: Callable[[Manifest], Any]) -> Manifest:
        """Waits until the TrainingRun is as `check` wants it."""

        def holds() -> Manifest | None:
            run = self.run(name)
            return run if run and check(run) else None

        return dict(self.wait(what, holds))

    def serving(self, name: str, number: int) -> Manifest:
        """Waits until the revision serves; fails at once when it cannot any more."""

        def found(run: Manifest) -> bool:
            told = status(run)
            if told.get("observedGeneration") != run["metadata"]["generation"]:
                return False
            if condition(run, "Stalled").get("status") == "True":
                raise AssertionError(f"{name} will not serve: {condition(run, 'Stalled')}\n{self.story()}")
            ready = condition(run, "Ready").get("status") == "True"
            return ready and told.get("serving", {}).get("revision") == number

        return self.wait_run(f"revision {number} of {name} serves", name, found)

    # ---------------------------------------------------------------------------------------------------- questions

    def url(self, name: str) -> str:
        """Where the model's Service answers in the cluster."""
        service = self.api.get("v1", "Service", f"{name}-predictor", self.namespace)
        return f"http://{service['spec']['clusterIP']}/v1/models/{name}:predict"

    def ask(self, name: str, rows: Sequence[Manifest]) -> list[Any]:
        """The predictions of the served model, through its Service."""
        said = self.node.run(*self._client(name, rows))
        return list(json.loads(said)["predictions"])

    @contextmanager
    def asking(self, name: str, rows: Sequence[Manifest]) -> Iterator[dict[str, Any]]:
        """A client that asks all the while; in the end the yielded dict says how often, and what failed."""
        self._asked += 1
        command = self._client(name, rows, "--until-told")
        client = subprocess.Popen([*self.node.enter, *command], stdout=subprocess.PIPE, text=True)
        assert client.stdout is not None
        found: dict[str, Any] = {}
        try:
            assert client.stdout.readline() == "asking\n"
            yield found
        finally:
            client.send_signal(signal.SIGTERM)
            found |= json.loads(client.communicate(timeout=60)[0])

    def package(self, name: str, number: int) -> Path:
        """The revision's package, fetched from the bucket."""
        uri = revision(self.run(name), number)["artifact"]["uri"]
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        folder = self.folder / f"{name}-r{number}"
        client = self.node.s3.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for item in page.get("Contents", ()):
                target = folder / item["Key"].removeprefix(f"{prefix}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, item["Key"], str(target))
        return folder

    def predict(self, package: Path, rows: Sequence[Manifest]) -> list[Any]:
        """What `runwright predict` says of the rows."""
        command = [sys.executable, "-m", "runwright_cli", "predict", str(package), "--input", str(self._file(rows))]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout)["predictions"])

    def _client(self, name: str, rows: Sequence[Manifest], *flags: str) -> list[str]:
        return [sys.executable, "-m", "tests.node.asking", self.url(name), str(self._file(rows)), *flags]

    def _file(self, rows: Sequence[Manifest]) -> Path:
        path = self.folder / f"rows-{abs(hash(json.dumps(rows)))}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
        return path

    # ------------------------------------------------------------------------------------------------------- a story

    def story(self) -> str:
        """What is there, for a person to read: status, pods, the last lines of those that failed, Events."""
        lines = [f"namespace {self.namespace}"]
        for run in self.api.list(API_VERSION, KIND, self.namespace):
            told = status(run)
            lines.append(f"--- {run['metadata']['name']}: {told.get('phase')}, {told.get('progress')}")
            lines += [
                f"  {one['type']}={one['status']} {one['reason']}: {one['message']}"
                for one in told.get("conditions", ())
            ]
        for pod in self.api.list(*PODS, self.namespace):
            lines.append(
                f"pod {pod['metadata']['name']}: {pod['status'].get('phase')} {pod['status'].get('reason', '')}"
            )
            if pod["status"].get("phase") == "Failed" or has_restarted(pod):
                lines += [f"    {line}" for line in self.log(pod["metadata"]["name"]).splitlines()[-LAST_LINES:]]
        events = self.api.list("v1", "Event", self.namespace)
        lines += [f"{e['involvedObject']['name']}: {e['reason']}: {e['message']}" for e in events[-30:]]
        return "\n".join(lines)

    def log(self, pod: str) -> str:
        try:
            return str(self.api.request("GET", self.api.path(*PODS, pod, self.namespace) + "/log"))
        except Refused as error:
            return str(error)


def is_ending(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def has_restarted(pod: Manifest) -> bool:
    return any(one.get("restartCount") for one in pod["status"].get("containerStatuses", ()))


def task_of(pod: Manifest) -> str:
    """The task that a pod of a pipeline carries out; nothing for a driver. Argo names its nodes so."""
    *_, task, kind = ["", *pod["metadata"].get("annotations", {}).get(NODE_NAME, "").split(".")]
    return task if kind.startswith("executor") else ""


def figures(predictions: Sequence[Any]) -> list[float]:
    """The numbers of V1 predictions, in order."""
    found: list[float] = []
    for one in predictions:
        found += (
            [one["value"]]
            if "value" in one
            else [one["probabilities"][label] for label in sorted(one["probabilities"])]
        )
    return found
