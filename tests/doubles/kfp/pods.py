"""The pods of a run as KFP 2.17 and Argo make them, and what the end of one says. Pure.

What a real installation adds and these pods lack: Argo's init and wait containers, and the init container that copies
the launcher (here a ConfigMap holds it).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.doubles.kfp import graph
from tests.doubles.kfp.attempts import Ending
from tests.doubles.kfp.launcher import PROGRAM, RESULT, local_path
from tests.doubles.kfp.store import Run, Task

Manifest = dict[str, Any]
Kind = Literal["executor", "driver", "root"]

LABEL_RUN = "pipeline/runid"
LABEL_TASK = "double/task"
LABEL_ATTEMPT = "double/attempt"
LABEL_KIND = "double/kind"
V2 = "pipelines.kubeflow.org/v2_component"
WORKFLOW = "workflows.argoproj.io/workflow"
NODE = "workflows.argoproj.io/node-name"
MAIN = "main"
LAUNCHER = "/kfp-launcher"
SECRET = "mlpipeline-minio-artifact"
OUTPUT_PARAMETERS = "/tmp/kfp/outputs"
_TEMPLATES: dict[Kind, str] = {
    "executor": "system-container-impl",
    "driver": "system-container-driver",
    "root": "system-dag-driver",
}
_SCRATCH = ("gcs", "s3", "minio", ".local", ".cache", ".config")
_PLATFORM = {"secretAsEnv", "imagePullPolicy", "pvcMount"}


class UnknownError(ValueError):
    """A pipeline that asks for what these pods cannot give."""


@dataclass(frozen=True)
class Place:
    """What all pods of a run share."""

    namespace: str
    account: str
    launcher: str
    """Name of the ConfigMap with the launcher."""
    endpoint: str
    region: str = "us-east-1"
    secret: str = SECRET
    root: str = "minio://mlpipeline/v2/artifacts"


def task_root(run: Run, task: Task, place: Place) -> str:
    """Where a task's artifacts lie, whatever its attempt."""
    root = (run.pipeline_root or place.root).rstrip("/")
    return f"{root}/{run.spec['pipelineInfo']['name']}/{run.id}/{task.name}/{task.id}"


def executor_input(run: Run, node: graph.Node, task: Task, values: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """What the driver resolves for a component. Raises KeyError for an input that nobody made."""
    made = {one.name: one for one in run.tasks}
    root = task_root(run, task, place)

    def given(source: Mapping[str, Any]) -> dict[str, Any]:
        producer, key = made[source["producerTask"]], source["outputArtifactKey"]
        component = run.spec["components"][run.spec["root"]["dag"]["tasks"][producer.name]["componentRef"]["name"]]
        definition = component["outputDefinitions"]["artifacts"][key]
        return _artifact(key, producer.artifacts[key], definition, producer.metadata.get(key, {}))

    outputs = node.component.get("outputDefinitions", {}).get("artifacts", {})
    return {
        "inputs": {
            "parameterValues": dict(values),
            "artifacts": {name: given(source) for name, source in node.artifacts.items()},
        },
        "outputs": {
            "parameters": {name: {"outputFile": f"{OUTPUT_PARAMETERS}/{name}"} for name in node.output_parameters},
            "artifacts": {name: _artifact(name, f"{root}/{name}", one, {}) for name, one in outputs.items()},
            "outputFile": str(local_path(root) / RESULT),
        },
    }


def pod_name(run: Run, kind: Kind, task: Task | None) -> str:
    """The same for the same attempt, so that a pod is never made twice."""
    attempt = task.attempts if task and kind == "executor" else 0
    node = zlib.crc32(f"{run.id}/{kind}/{task.id if task else ''}/{attempt}".encode())
    return f"{_workflow(run)}-{_TEMPLATES[kind]}-{node}"


def manifest(
    run: Run, node: graph.Node, task: Task | None, place: Place, kind: Kind, given: Mapping[str, Any]
) -> Manifest:
    """The pod of an attempt, of a task's driver, or of the run's root driver (which belongs to no task).

    Raises UnknownError. `given` is the executor input.
    """
    title, attempt = (task.name, task.attempts) if task else ("", 0)
    root = task_root(run, task, place) if task else f"{place.root}/{run.spec['pipelineInfo']['name']}/{run.id}"
    runs = kind == "executor"
    claims = _platform(run, node).get("pvcMount", ()) if runs else ()
    container = {
        "name": MAIN,
        "image": node.container["image"],
        "command": _launch(run, node, place, root, given, "execute" if runs else "drive"),
        "args": list(node.command) if runs else [],
        "env": _environment(run, node if runs else None),
        "volumeMounts": [
            {"name": "kfp-launcher", "mountPath": LAUNCHER, "readOnly": True},
            *_mounts(),
            *({"name": _claim(one), "mountPath": one["mountPath"]} for one in claims),
        ],
        "resources": resources(node.container.get("resources", {})) if runs else {},
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if policy := _platform(run, node).get("imagePullPolicy"):
        container["imagePullPolicy"] = policy
    labels = {LABEL_RUN: run.id, V2: "true", WORKFLOW: _workflow(run), LABEL_KIND: kind}
    if task:
        labels |= {LABEL_TASK: title[:63], LABEL_ATTEMPT: str(attempt)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(run, kind, task),
            "namespace": place.namespace,
            "labels": labels,
            "annotations": {
                V2: "true",
                "sidecar.istio.io/inject": "false",
                NODE: f"{_workflow(run)}.root{f'.{title}' if title else ''}.{kind}",
            },
        },
        "spec": {
            "serviceAccountName": place.account,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [
                {"name": "kfp-launcher", "configMap": {"name": place.launcher}},
                *({"name": _scratch(one), "emptyDir": {}} for one in _SCRATCH),
                *({"name": _claim(one), "persistentVolumeClaim": {"claimName": _claim(one)}} for one in claims),
            ],
        },
    }


def launcher_name(program: str) -> str:
    """Another launcher is another ConfigMap."""
    return f"kfp-launcher-{zlib.crc32(program.encode()):08x}"


def launcher_config(program: str, namespace: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": launcher_name(program), "namespace": namespace},
        "immutable": True,
        "data": {PROGRAM: program},
    }


def resources(asked: Mapping[str, Any]) -> Manifest:
    """Requests and limits. Raises UnknownError."""
    found: Manifest = {}
    for side in ("Request", "Limit"):
        for title, key, unit in (("cpu", "Cpu", ""), ("memory", "Memory", "G")):
            amount = asked.get(f"resource{key}{side}") or _old(asked.get(f"{title}{side}"), unit)
            if amount:
                found.setdefault(f"{side.lower()}s", {})[title] = amount
    accelerator = asked.get("accelerator", {})
    kind = accelerator.get("resourceType") or accelerator.get("type")
    count = accelerator.get("resourceCount") or accelerator.get("count")
    if kind and count:
        found.setdefault("limits", {})[kind] = str(count)
    if "{{" in json.dumps(found):
        raise UnknownError("resources that are parameters are not known here")
    return found


def ending(pod: Manifest) -> Ending | None:
    """How the pod ended, in Argo's words; None while it has not."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return Ending(0)
    if status.get("phase") != "Failed":
        return None
    state: Manifest = next((one["state"] for one in status.get("containerStatuses", ()) if one["name"] == MAIN), {})
    last = state.get("terminated")
    code = last["exitCode"] if last else None
    if status.get("message"):
        return Ending(code, status["message"])
    if waiting := state.get("waiting"):
        why = f"{waiting.get('reason', '')}: {waiting.get('message', '')}"
        return Ending(code, f"Pod failed before {MAIN} container starts due to {why}")
    if last and code:
        message = f": {last['message']}" if last.get("message") else ""
        return Ending(code, f"{MAIN}: {last.get('reason', '')} (exit code {code}){message}")
    return Ending(code, "pod failed: main container did not complete successfully")


def stays(pod: Manifest) -> bool:
    """Whether the pod has ended and nobody wants it gone."""
    return ending(pod) is not None and "deletionTimestamp" not in pod["metadata"]


DELETED = Ending(None, "pod deleted")


def _artifact(name: str, uri: str, definition: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": name, "uri": uri, "type": definition.get("artifactType", {}), "metadata": dict(metadata)}
    return {"artifacts": [made]}


def _launch(
    run: Run, node: graph.Node, place: Place, root: str, given: Mapping[str, Any], mode: Literal["execute", "drive"]
) -> list[str]:
    options = {
        "pipeline_name": run.spec["pipelineInfo"]["name"],
        "run_id": run.id,
        "pod_name": "$(KFP_POD_NAME)",
        "pod_uid": "$(KFP_POD_UID)",
        "task_root": root,
        "executor_input": json.dumps(given),
        "component_spec": json.dumps(node.component),
        "store_endpoint": place.endpoint,
        "store_region": place.region,
        "store_secret": place.secret,
    }
    words = [word for option, value in options.items() for word in (f"--{option}", value)]
    return ["python3", f"{LAUNCHER}/{PROGRAM}", mode, *words, "--"]


def _environment(run: Run, node: graph.Node | None) -> list[Manifest]:
    fields = {"KFP_POD_NAME": "metadata.name", "KFP_POD_UID": "metadata.uid", "NAMESPACE": "metadata.namespace"}
    found: list[Manifest] = [
        {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}} for variable, path in fields.items()
    ]
    found.append({"name": "KFP_RUN_ID", "value": run.id})
    if node is None:
        return found
    found += [{"name": one["name"], "value": one.get("value", "")} for one in node.container.get("env", ())]
    for wanted in _platform(run, node).get("secretAsEnv", ()):
        for entry in wanted["keyToEnv"]:
            key = {"name": wanted["secretName"], "key": entry["secretKey"], "optional": wanted.get("optional", False)}
            found.append({"name": entry["envVar"], "valueFrom": {"secretKeyRef": key}})
    return found


def _platform(run: Run, node: graph.Node) -> Mapping[str, Any]:
    executors = run.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    found: Mapping[str, Any] = executors.get(node.executor, {})
    if unknown := sorted(set(found) - _PLATFORM):
        raise UnknownError(f"{', '.join(unknown)} of the platform specification: not known here")
    return found


def _claim(mount: Mapping[str, Any]) -> str:
    """Also the name of the pod's volume, as KFP's driver has it."""
    name: str = mount["pvcNameParameter"]["runtimeValue"]["constant"]
    return name


def _mounts() -> list[Manifest]:
    return [{"name": _scratch(one), "mountPath": f"/{one}"} for one in _SCRATCH]


def _scratch(folder: str) -> str:
    return f"{folder.replace('.', 'dot-')}-scratch"


def _old(amount: float | None, unit: str) -> str:
    return f"{amount:g}{unit}" if amount else ""


def _workflow(run: Run) -> str:
    pipeline = re.sub(r"[^a-z0-9]+", "-", run.spec["pipelineInfo"]["name"].lower()).strip("-")
    return f"{pipeline[:24].strip('-')}-{run.id[:5]}"
