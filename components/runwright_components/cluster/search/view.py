"""The Kubernetes API as the followers of many jobs see it: what all of them ask is asked once a round."""

from __future__ import annotations

from typing import Any

from runwright_components.cluster.client import PATIENCE, Kubernetes, Resource
from runwright_components.cluster.jobs import PODS
from runwright_components.cluster.manifests.fields import dig, text
from runwright_components.cluster.manifests.pods import Manifest


class SharedView(Kubernetes):
    """A round begins with `refresh`: the jobs and pods that `labels` choose are listed, two requests for any number of
    jobs. What else is read in the round is read once. Writes go through at once, and are seen in the next round."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, jobs: Resource, *, labels: str) -> None:
        super().__init__(
            kubernetes._api, patience=kubernetes._patience, clock=kubernetes._clock, sleep=kubernetes._sleep
        )
        self._namespace = namespace
        self._resource = jobs
        self._labels = labels
        self._jobs: dict[str, Manifest] = {}
        self._hidden: set[str] = set()  # names that are taken by jobs without the labels
        self._pods: list[Manifest] = []
        self._read: dict[tuple[Any, ...], Any] = {}

    def refresh(self, *, patience: float = PATIENCE) -> None:
        """Begin a round."""
        kubernetes = self.patient(patience)
        jobs = kubernetes.list(self._resource, self._namespace, labels=self._labels)
        self._jobs = {text(dig(job, "metadata", "name")): job for job in jobs}
        for name in self._hidden - self._jobs.keys():
            if (job := kubernetes.get(self._resource, self._namespace, name)) is not None:
                self._jobs[name] = job
        self._pods = kubernetes.list(PODS, self._namespace, labels=self._labels)
        self._read.clear()

    @property
    def jobs(self) -> dict[str, Manifest]:
        """The jobs of this round by name."""
        return self._jobs

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        if resource == self._resource:
            return self._jobs.get(name)
        key = (resource, namespace, name)
        if key not in self._read:
            self._read[key] = super().get(resource, namespace, name)
        found: Manifest | None = self._read[key]
        return found

    def create(self, resource: Resource, manifest: Manifest) -> Manifest | None:
        made = super().create(resource, manifest)
        if made is None and resource == self._resource:
            self._hidden.add(text(dig(manifest, "metadata", "name")))
        return made

    def list(self, resource: Resource, namespace: str, *, labels: str = "", fields: str = "") -> list[Manifest]:
        if resource == PODS and not fields:
            return [pod for pod in self._pods if _carries(pod, labels)]
        key = (resource, namespace, labels, fields)
        if key not in self._read:
            self._read[key] = super().list(resource, namespace, labels=labels, fields=fields)
        found: list[Manifest] = self._read[key]
        return found


def _carries(value: Manifest, labels: str) -> bool:
    """Whether an object has all the labels of a selector, NAME=VALUE with commas between."""
    terms = (term.partition("=") for term in filter(None, labels.split(",")))
    return all(dig(value, "metadata", "labels", name) == wanted for name, _, wanted in terms)
