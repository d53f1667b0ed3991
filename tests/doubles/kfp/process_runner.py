"""Attempts as processes of this machine, each with the token of the step's ServiceAccount. Some compute nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.doubles.kfp import attempts, graph, platform, steps
from tests.doubles.kfp.attempts import Ending
from tests.doubles.kfp.cluster import Cluster
from tests.doubles.kfp.scripts import SCRIPTS
from tests.doubles.kfp.store import Run, Step, Store, Task, new_id

SIMULATED = frozenset({"collect", "prepare", "data", "evaluate", "package", "register", "model"})
SIMULATOR = "tests.doubles.kfp.simulated"
_ROOT = Path(__file__).parents[3]
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE")


class ProcessRunner:
    """Without a cluster nothing is given to the steps but their folders."""

    def __init__(
        self,
        store: Store,
        *,
        cluster: Cluster | None = None,
        namespace: str | None = None,
        simulated: frozenset[str] = SIMULATED,
        environment: Mapping[str, str] | None = None,
        grace: float = 5.0,
    ) -> None:
        """`namespace` is where all steps run; None: in that of the TrainingRun. `environment` is given to every step;
        `grace` are the seconds between SIGTERM and SIGKILL."""
        self._store = store
        self._cluster = cluster
        self._namespace = namespace
        self._simulated = simulated
        self._environment = dict(environment or {})
        self._grace = grace

    async def begin(self, run: Run) -> None:
        pass

    async def start(self, run: Run, node: graph.Node, task: Task) -> None:
        task.pods.append(f"{run.name[:40]}-{node.name}-{new_id()[:8]}")
        home = self._store.run_folder(run.id)
        folder = home / node.name / str(task.attempts)
        folder.mkdir(parents=True, exist_ok=True)
        values = attempts.inputs(run, node, task)
        given = _executor_input(node, values, home, folder, {one.name: one.metadata for one in run.tasks})
        module = folder / "ephemeral_component.py"
        module.write_text(node.source)
        command = graph.command_line(node, given, str(module))
        if node.function in self._simulated:
            command = self._simulation(run, node, given, folder)
        task.step = steps.start(command, folder, await self._surroundings(run, task, folder))

    async def ended(self, run: Run, node: graph.Node, task: Task) -> Ending:
        step = _step(task)
        code = await steps.ended(step)
        if code:
            return Ending(code, f"main: Error (exit code {code}): {steps.last_words(step)}")
        outputs, metadata = _outputs(Path(step.folder), node)
        return Ending(code, outputs=outputs, metadata=metadata)

    async def stop(self, run: Run, task: Task) -> int | None:
        if task.step is None:
            return None
        await steps.stop(_step(task), self._grace)
        return await steps.ended(_step(task))

    async def kill(self, run: Run) -> None:
        for task in run.tasks:
            if isinstance(task.step, Step):
                steps.kill(task.step)

    async def close(self) -> None:
        for run in self._store.runs.values():
            await self.kill(run)

    def _simulation(self, run: Run, node: graph.Node, given: Mapping[str, Any], folder: Path) -> list[str]:
        trains = (one for one in graph.nodes(run.spec) if one.function in ("train", "model"))
        given_to = next((one.parameters for one in trains), {})
        found = given_to.get("train_config") or given_to.get("config")
        constant = found["runtimeValue"]["constant"] if found else ""
        order = {"executor_input": given, "function": node.function, "train_config": constant}
        path = folder / "order.json"
        path.write_text(json.dumps({**order, "scripts": str(self._store.folder / SCRIPTS)}))
        return [sys.executable, "-m", SIMULATOR, str(path)]

    async def _surroundings(self, run: Run, task: Task, folder: Path) -> dict[str, str]:
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
            namespace = attempts.namespace(run, self._namespace)
            token = await self._cluster.token(namespace, attempts.account(run))
            path = folder / "kubeconfig"
            path.touch(mode=0o600)
            path.write_text(self._cluster.kubeconfig(token, namespace))
            environment["KUBECONFIG"] = str(path)
            environment |= await platform.secrets(run.spec, run.platform, task.name, self._cluster, namespace)
        return environment


def _step(task: Task) -> Step:
    if not isinstance(task.step, Step):
        raise TypeError(f"{task.name} is no process: the state is that of another double")
    return task.step


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
