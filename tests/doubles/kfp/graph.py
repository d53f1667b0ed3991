"""A pipeline's tasks in order, and what goes into each. Pure.

Knows what our pipelines use of the language: a root of tasks without loops and conditions, constants, the pipeline's
parameters, outputs of earlier tasks, placeholders of the job, retries.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from google.protobuf import json_format

from kfp.pipeline_spec import pipeline_spec_pb2
from tests.doubles.kfp.problems import Code, Problem, invalid

SCHEMA = "2.1.0"
_PLACEHOLDER = re.compile(r"\{\{\$\.([a-z_]+)\}\}")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


@dataclass(frozen=True)
class Backoff:
    """Pauses between attempts, in seconds."""

    first: float
    factor: float
    longest: float


@dataclass(frozen=True)
class Node:
    """One task: its component, its container, and where its inputs come from."""

    name: str
    after: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    artifacts: Mapping[str, Mapping[str, Any]]
    output_parameters: tuple[str, ...]
    output_artifacts: Mapping[str, str]
    """Name -> schema title."""
    command: tuple[str, ...]
    retries: int
    backoff: Backoff
    executor: str
    """Label of the executor, which platform specifications go by."""
    component: Mapping[str, Any]
    container: Mapping[str, Any]

    def pause(self, attempts: int) -> float:
        """Seconds until the next attempt, after so many."""
        return min(self.backoff.first * self.backoff.factor ** (attempts - 1), self.backoff.longest)

    @property
    def function(self) -> str:
        """The name of a lightweight component's function; empty for any other container."""
        words = self.command
        flag = "--function_to_execute"
        return words[words.index(flag) + 1] if flag in words[:-1] else ""

    @property
    def source(self) -> str:
        """The source of that function, which the container's little shell program would write to a file."""
        return self.command[3] if self.function and self.command[:2] == ("sh", "-ec") else ""


def validate(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Refuse what the server refuses, in its words. Raises Problem: a bad spec is an internal error there."""
    try:
        parsed = json_format.ParseDict(dict(spec), pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise _bad_spec(f"failed to parse pipeline spec YAML: {error}") from error
    if not parsed.pipeline_info.name or not parsed.HasField("root"):
        raise _bad_spec("unknown template format")
    if parsed.schema_version != SCHEMA:
        raise _bad_spec(f"KFP only supports schema version {SCHEMA}, but the pipeline spec has {parsed.schema_version}")
    defined = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, definition in defined.items():
        if name in parameters:
            kind = definition.get("parameterType", "")
            if not isinstance(parameters[name], _TYPES.get(kind, object)):
                raise invalid(f"input parameter {name} requires type {kind.lower()}")
        elif not definition.get("isOptional") and "defaultValue" not in definition:
            raise invalid(f"parameter {name} is not optional, yet has neither default value nor user provided value")
    if extra := sorted(set(parameters) - set(defined)):
        raise invalid(f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")
    try:
        nodes(spec)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_spec(f"{type(error).__name__}: {error}") from error


def nodes(spec: Mapping[str, Any]) -> list[Node]:
    """The root's tasks, each after those that it needs. Raises KeyError, TypeError or ValueError for a bad graph."""
    tasks = spec["root"]["dag"]["tasks"]
    found = {name: _node(name, task, spec) for name, task in tasks.items()}
    try:
        order = list(TopologicalSorter({name: node.after for name, node in found.items()}).static_order())
    except CycleError as error:
        raise ValueError("the tasks go round in a circle") from error
    return [found[name] for name in order]


def arguments(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline's parameters with their defaults."""
    defined = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    defaults = {name: one["defaultValue"] for name, one in defined.items() if "defaultValue" in one}
    return {**defaults, **given}


def values(
    node: Node, *, arguments: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]], job: Mapping[str, str]
) -> dict[str, Any]:
    """A task's parameters. `outputs` are those of earlier tasks, `job` what placeholders stand for. Raises KeyError."""
    found: dict[str, Any] = {}
    for name, source in node.parameters.items():
        if "runtimeValue" in source:
            constant = source["runtimeValue"]["constant"]
            found[name] = _filled(constant, job) if isinstance(constant, str) else constant
        elif "componentInputParameter" in source:
            if source["componentInputParameter"] in arguments:
                found[name] = arguments[source["componentInputParameter"]]
        else:
            producer = source["taskOutputParameter"]
            found[name] = outputs[producer["producerTask"]][producer["outputParameterKey"]]
    defined = node.component.get("inputDefinitions", {}).get("parameters", {})
    defaults = {name: one["defaultValue"] for name, one in defined.items() if "defaultValue" in one}
    return {**defaults, **found}


def command_line(node: Node, executor_input: Mapping[str, Any], module: str) -> list[str]:
    """The container's command as the launcher runs it. A lightweight component's source lies in the file `module`."""
    text = json.dumps(executor_input)
    words = [text if word == "{{$}}" else word for word in node.command]
    if not node.source:
        return words
    return [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", module, *words[4:]]


def _node(name: str, task: Mapping[str, Any], spec: Mapping[str, Any]) -> Node:
    component = spec["components"][task["componentRef"]["name"]]
    label = component["executorLabel"]
    container = spec["deploymentSpec"]["executors"][label]["container"]
    inputs, outputs = task.get("inputs", {}), component.get("outputDefinitions", {})
    artifacts = {key: source["taskOutputArtifact"] for key, source in inputs.get("artifacts", {}).items()}
    parameters = inputs.get("parameters", {})
    producers = {source["producerTask"] for source in artifacts.values()}
    producers |= {
        one["taskOutputParameter"]["producerTask"] for one in parameters.values() if "taskOutputParameter" in one
    }
    policy = task.get("retryPolicy", {})
    return Node(
        name=name,
        after=tuple(sorted(producers | set(task.get("dependentTasks", ())))),
        parameters=parameters,
        artifacts=artifacts,
        output_parameters=tuple(outputs.get("parameters", {})),
        output_artifacts={
            key: one.get("artifactType", {}).get("schemaTitle", "system.Artifact")
            for key, one in outputs.get("artifacts", {}).items()
        },
        command=(*container.get("command", ()), *container.get("args", ())),
        retries=int(policy.get("maxRetryCount", 0)),
        backoff=Backoff(
            first=_seconds(policy.get("backoffDuration", "0s")),
            factor=float(policy.get("backoffFactor") or 2.0),
            longest=_seconds(policy.get("backoffMaxDuration") or "3600s"),
        ),
        executor=label,
        component=component,
        container=container,
    )


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _filled(text: str, job: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: job[found[1]], text)


def _bad_spec(message: str) -> Problem:
    chain = "Failed to create a new run: InternalServerError: Failed to create a run due to error fetching manifest"
    return Problem(
        Code.INTERNAL,
        f"{chain}: Failed to fetch a template with an invalid pipeline spec manifest: InvalidInputError: {message}:"
        " pipeline spec is invalid",
        "Internal Server Error",
    )
