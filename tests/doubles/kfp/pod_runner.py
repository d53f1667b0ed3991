"""Attempts as pods. They outlive the double, which finds them again by their names.

One watch follows all pods of runs; a pod's end is read from it, and what its launcher published from the store.
"""

from __future__ import annotations

import math
from pathlib import Path

from obstore.exceptions import BaseError

from tests.doubles.kfp import attempts, graph, pods
from tests.doubles.kfp.artifact_store import ArtifactStore
from tests.doubles.kfp.attempts import AttemptError, Ending
from tests.doubles.kfp.cluster import Cluster, ClusterError
from tests.doubles.kfp.pod_watch import PodWatch
from tests.doubles.kfp.pods import Manifest, Place
from tests.doubles.kfp.store import PodStep, Run, Task

_LAUNCHER = Path(__file__).with_name("launcher.py")
_GOING = "status.phase!=Succeeded,status.phase!=Failed"


class PodRunner:
    """Every attempt is a pod of its component's image."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        endpoint: str,
        endpoint_in_pods: str,
        region: str,
        root: str,
        namespace: str | None,
        drivers: bool,
        grace: float,
    ) -> None:
        """`endpoint` is the artifact store's, for the double and for pods. `namespace` is where all pods run; None: in
        that of the TrainingRun. `drivers`: a pod before each task, and one before the first. `grace` are the seconds
        between SIGTERM and SIGKILL of a run that is terminated."""
        self._cluster = cluster
        self._artifacts = ArtifactStore(cluster, endpoint=endpoint, region=region, secret=pods.SECRET)
        self._endpoint, self._region, self._root = endpoint_in_pods, region, root
        self._namespace = namespace
        self._drivers = drivers
        self._grace = grace
        self._seen = PodWatch(cluster)
        self._launcher = _LAUNCHER.read_text()

    async def begin(self, run: Run) -> None:
        if self._drivers and not run.tasks:
            place = self._place(run)
            await self._deliver(place)
            await self._drive(pods.manifest(run, graph.nodes(run.spec)[0], None, place, "root", {}))

    async def start(self, run: Run, node: graph.Node, task: Task) -> None:
        place = self._place(run)
        await self._deliver(place)
        try:
            given = pods.executor_input(run, node, task, attempts.inputs(run, node, task), place)
            if self._drivers and task.attempts == 1:
                await self._drive(pods.manifest(run, node, task, place, "driver", given))
            pod = pods.manifest(run, node, task, place, "executor", given)
        except (pods.UnknownError, KeyError) as error:
            raise AttemptError(f"{type(error).__name__}: {error}") from error
        name = pod["metadata"]["name"]
        task.pods = [*(one for one in task.pods if one != name), name]
        task.step = PodStep(namespace=place.namespace, pod=name)
        await self._create(pod)

    async def ended(self, run: Run, node: graph.Node, task: Task) -> Ending:
        step = _step(task)
        last = await self._seen.end_of(step.namespace, step.pod)
        ending = pods.ending(last) if last else None
        if ending and ending.error:
            return ending
        place = self._place(run)
        try:  # a pod that nobody saw may have ended well all the same
            result = await self._artifacts.result(step.namespace, pods.task_root(run, task, place), step.pod)
        except (BaseError, ClusterError, OSError) as error:
            return Ending(None, f"failed to read the results: {error}")
        if result is None:
            return Ending(0, "the launcher has published no results") if ending else pods.DELETED
        task.artifacts = {name: one["uri"] for name, one in result["artifacts"].items()}
        metadata = {name: one["metadata"] for name, one in result["artifacts"].items()}
        return Ending(0, outputs=result["parameterValues"], metadata=metadata)

    async def stop(self, run: Run, task: Task) -> int | None:
        await self._delete(run, grace=math.ceil(self._grace))
        if not isinstance(task.step, PodStep):
            return None
        last = await self._seen.gone(task.step.namespace, task.step.pod)
        ending = pods.ending(last) if last else None
        return ending.code if ending else None

    async def kill(self, run: Run) -> None:
        await self._delete(run, grace=0)

    async def close(self) -> None:
        """The pods go on."""
        await self._seen.close()

    async def _drive(self, pod: Manifest) -> None:
        """A driver's pod, to its end. Raises AttemptError."""
        await self._create(pod)
        metadata = pod["metadata"]
        last = await self._seen.end_of(metadata["namespace"], metadata["name"])
        ending = (pods.ending(last) if last else None) or pods.DELETED
        if ending.error:
            raise AttemptError(f"driver {metadata['name']}: {ending.error}")

    async def _delete(self, run: Run, *, grace: int) -> None:
        """Delete what still runs. Pods that have ended stay, with their logs."""
        query = {"labelSelector": f"{pods.LABEL_RUN}={run.id}", "fieldSelector": _GOING}
        path = _pods(attempts.namespace(run, self._namespace))
        await self._cluster.insist("DELETE", path, query=query, body={"gracePeriodSeconds": grace}, fine=(404,))

    async def _create(self, pod: Manifest) -> None:
        """Raises AttemptError when the API server refuses the pod; one that is there already is the one meant."""
        metadata = pod["metadata"]
        try:
            await self._cluster.insist("POST", _pods(metadata["namespace"]), body=pod, fine=(409,))
        except ClusterError as error:
            raise AttemptError(f"failed to create pod {metadata['name']}: {error}") from error

    async def _deliver(self, place: Place) -> None:
        """Put the launcher where pods find it. Raises AttemptError."""
        path = f"/api/v1/namespaces/{place.namespace}/configmaps"
        config = pods.launcher_config(self._launcher, place.namespace)
        try:
            await self._cluster.insist("POST", path, body=config, fine=(409,))
        except ClusterError as error:
            raise AttemptError(f"failed to deliver the launcher: {error}") from error

    def _place(self, run: Run) -> Place:
        return Place(
            namespace=attempts.namespace(run, self._namespace),
            account=attempts.account(run),
            launcher=pods.launcher_name(self._launcher),
            endpoint=self._endpoint,
            region=self._region,
            root=self._root,
        )


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def _step(task: Task) -> PodStep:
    if not isinstance(task.step, PodStep):
        raise TypeError(f"{task.name} is no pod: the state is that of another double")
    return task.step
