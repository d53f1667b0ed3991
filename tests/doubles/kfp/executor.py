"""Walks a run's tasks: one after the other, each a process of its own with the token of the step's ServiceAccount."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runwright_components.contract.cluster import ClusterRun
from tests.doubles.kfp import graph, platform, steps
from tests.doubles.kfp.cluster import Cluster, ClusterError
from tests.doubles.kfp.scripts import SCRIPTS
from tests.doubles.kfp.store import ENDED, Run, State, Step, Store, Task, new_id

SIMULATED = frozenset({"collect", "prepare", "data", "evaluate", "package", "register", "deliver"})
SIMULATOR = "tests.doubles.kfp.simulated"
_ROOT = Path(__file__).parents[3]
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Pace:
    """How the double takes its time."""

    pending: float = 0.3
    """Seconds until a run is running; for the first third of them its state is not even said."""
    task: float = 0.0
    """Seconds before each task: the real thing takes 14 to 20."""
    grace: float = 5.0
    """Seconds between SIGTERM and SIGKILL."""


class Executor:
    """Executes runs. Without a cluster nothing is given to the steps but their folders."""

    def __init__(
        self,
        store: Store,
        *,
        cluster: Cluster | None = None,
        pace: Pace | None = None,
        namespace: str | None = None,
        simulated: frozenset[str] = SIMULATED,
        environment: Mapping[str, str] | None = None,
        at_once: int = 16,
    ) -> None:
        """`namespace` is where all pods run; None: in that of the TrainingRun. `environment` is given to every step."""
        self._store = store
        self._cluster = cluster
        self._pace = pace or Pace()
        self._namespace = namespace
        self._simulated = simulated
        self._environment = dict(environment or {})
        self._room = asyncio.Semaphore(at_once)
        self._working: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Go on with what was under way when the double ended."""
        for run in self._store.runs.values():
            if run.state == "CANCELING":
                self.cancel(run)
            elif run.state not in ENDED:
                self.start(run)

    def start(self, run: Run) -> None:
        self._working[run.id] = asyncio.create_task(self._work(run))

    def cancel(self, run: Run) -> None:
        """Stop the run's step, then call it canceled."""
        working = self._working.pop(run.id, None)
        self._working[run.id] = asyncio.create_task(self._cancel(run, working))

    async def kill(self, run: Run) -> None:
        """Stop everything of a run at once."""
        await _stopped(self._working.pop(run.id, None))
        for task in run.tasks:
            if task.step:
                steps.kill(task.step)

    async def close(self) -> None:
        for run in list(self._store.runs.values()):
            if run.id in self._working:
                await self.kill(run)

    async def _cancel(self, run: Run, working: asyncio.Task[None] | None) -> None:
        await _stopped(working)
        for task in run.tasks:
            if task.state in ENDED:
                continue
            if task.step:
                await steps.stop(task.step, self._pace.grace)
                task.exit_code = await steps.ended(task.step)
            self._enter(run, task, "CANCELED")
        run.enter("CANCELED")
        self._store.save(run)
        self._working.pop(run.id, None)

    async def _work(self, run: Run) -> None:
        state: State
        try:
            if not run.tasks:
                await self._wait_to_run(run)
            for node in graph.nodes(run.spec):
                task = _task(run, node.name)
                if task.state != "SUCCEEDED" and not await self._carry_out(run, node, task):
                    raise _FailedError(f"task {node.name} failed")
            state = "SUCCEEDED"
        except (_FailedError, ClusterError, KeyError, ValueError, OSError) as error:
            run.error = f"{type(error).__name__.strip('_')}: {error}"
            state = "FAILED"
        run.enter(state)
        self._store.save(run)
        self._working.pop(run.id, None)

    async def _wait_to_run(self, run: Run) -> None:
        await asyncio.sleep(self._pace.pending / 3)
        run.enter("PENDING")
        self._store.save(run)
        await asyncio.sleep(2 * self._pace.pending / 3)
        run.enter("RUNNING")
        self._store.save(run)

    async def _carry_out(self, run: Run, node: graph.Node, task: Task) -> bool:
        """One task with its retries; whether it succeeded."""
        while True:
            if task.step is None:
                await asyncio.sleep(self._pace.task)
                task.attempts += 1
                task.pods.append(f"{run.name[:40]}-{node.name}-{new_id()[:8]}")
                async with self._room:
                    task.step = await self._start(run, node, task)
                    self._enter(run, task, "RUNNING")
                    task.exit_code = await steps.ended(task.step)
            else:  # a double that was restarted finds the step still there
                task.exit_code = await steps.ended(task.step)
            if task.exit_code == 0:
                task.outputs, task.metadata = _outputs(Path(task.step.folder), node)
                task.step = None
                self._enter(run, task, "SUCCEEDED")
                return True
            task.error = f"main: Error (exit code {task.exit_code}): {steps.last_words(task.step)}"
            if task.attempts > node.retries:
                self._enter(run, task, "FAILED")
                return False
            task.step = None
            await asyncio.sleep(node.backoff)

    async def _start(self, run: Run, node: graph.Node, task: Task) -> Step:
        home = self._store.run_folder(run.id)
        folder = home / node.name / str(task.attempts)
        folder.mkdir(parents=True, exist_ok=True)
        arguments = graph.arguments(run.spec, run.parameters)
        outputs = {one.name: one.outputs for one in run.tasks}
        values = graph.values(node, arguments=arguments, outputs=outputs, job=_job(run, task))
        given = _executor_input(node, values, home, folder, {one.name: one.metadata for one in run.tasks})
        module = folder / "ephemeral_component.py"
        module.write_text(node.source)
        command = graph.command_line(node, given, str(module))
        if node.function in self._simulated:
            command = self._simulation(run, node, given, folder)
        return steps.start(command, folder, await self._surroundings(run, task, arguments, folder))

    def _simulation(self, run: Run, node: graph.Node, given: Mapping[str, Any], folder: Path) -> list[str]:
        train = next((one for one in graph.nodes(run.spec) if one.function == "train"), None)
        constant = train.parameters["config"]["runtimeValue"]["constant"] if train else ""
        order = {"executor_input": given, "function": node.function, "train_config": constant}
        path = folder / "order.json"
        path.write_text(json.dumps({**order, "scripts": str(self._store.folder / SCRIPTS)}))
        return [sys.executable, "-m", SIMULATOR, str(path)]

    async def _surroundings(self, run: Run, task: Task, arguments: Mapping[str, Any], folder: Path) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}"
        environment |= {
            "PYTHONPATH": str(_ROOT),
            "TMPDIR": str(folder),
            "_KFP_RUNTIME": "true",
            "KFP_POD_NAME": task.pods[-1],
            "KFP_POD_UID": task.id,
            "KFP_RUN_ID": run.id,
            **self._environment,
        }
        if self._cluster is not None:
            namespace = self._namespace or run.namespace or _namespace(arguments)
            account = run.service_account or "pipeline-runner"
            token = await self._cluster.token(namespace, account)
            path = folder / "kubeconfig"
            path.touch(mode=0o600)
            path.write_text(self._cluster.kubeconfig(token, namespace))
            environment["KUBECONFIG"] = str(path)
            environment |= await platform.secrets(run.spec, run.platform, task.name, self._cluster, namespace)
        return environment

    def _enter(self, run: Run, task: Task, state: State) -> None:
        task.state = state
        now = time.time()
        if state == "RUNNING":
            task.started = task.started or now
        else:
            task.finished = now
        self._store.save(run)


class _FailedError(Exception):
    """A task failed."""


async def _stopped(working: asyncio.Task[None] | None) -> None:
    if working is not None:
        working.cancel()
        await asyncio.wait([working])


def _task(run: Run, name: str) -> Task:
    for task in run.tasks:
        if task.name == name:
            return task
    run.tasks.append(Task(id=new_id(), name=name, created=time.time()))
    return run.tasks[-1]


def _job(run: Run, task: Task) -> dict[str, str]:
    return {
        "pipeline_job_uuid": run.id,
        "pipeline_job_name": run.name,
        "pipeline_job_resource_name": run.name,
        "pipeline_task_uuid": task.id,
        "pipeline_task_name": task.name,
    }


def _namespace(arguments: Mapping[str, Any]) -> str:
    text = arguments.get("cluster")
    return ClusterRun.model_validate_json(text).namespace if isinstance(text, str) and text else "default"


def _executor_input(
    node: graph.Node,
    values: Mapping[str, Any],
    home: Path,
    folder: Path,
    metadata: Mapping[str, Mapping[str, dict[str, Any]]],
) -> dict[str, Any]:
    """What the launcher hands to a component. Artifacts lie in folders of the task, whatever its attempt."""

    def artifact(producer: str, key: str, title: str = "system.Artifact") -> dict[str, Any]:
        made = {
            "name": key,
            "type": {"schemaTitle": title, "schemaVersion": "0.0.1"},
            "uri": str(home / producer / "artifacts" / key),
            "metadata": metadata.get(producer, {}).get(key, {}),
        }
        return {"artifacts": [made]}

    inputs = {
        name: artifact(source["producerTask"], source["outputArtifactKey"]) for name, source in node.artifacts.items()
    }
    return {
        "inputs": {"parameterValues": dict(values), "artifacts": inputs},
        "outputs": {
            "parameters": {name: {"outputFile": str(folder / "outputs" / name)} for name in node.output_parameters},
            "artifacts": {name: artifact(node.name, name, title) for name, title in node.output_artifacts.items()},
            "outputFile": str(folder / "executor_output.json"),
        },
    }


def _outputs(folder: Path, node: graph.Node) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Values of the output parameters and metadata of the artifacts, as the component left them."""
    path = folder / "executor_output.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    values = dict(said.get("parameterValues", {}))
    for name in node.output_parameters:
        file = folder / "outputs" / name
        if file.exists():
            values[name] = file.read_text()
    artifacts = said.get("artifacts", {})
    return values, {name: found["artifacts"][0].get("metadata", {}) for name, found in artifacts.items()}
