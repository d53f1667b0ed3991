"""Objects of the API server, and TrainingRun files, as the models that the rest of the commands work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from runwright_api.loading import load_object
from runwright_api.names import API_VERSION, KIND
from runwright_api.spec.run import TrainingRunSpec
from runwright_api.status import TrainingRunStatus
from runwright_api.trainingrun import TrainingRun
from runwright_cli.cluster.errors import ClusterError

_OWN_METADATA = ("name", "namespace", "labels", "annotations")
_KUBECTLS = "kubectl.kubernetes.io/last-applied-configuration"


def status_of(content: Mapping[str, Any]) -> TrainingRunStatus:
    """The status of an object. Raises ClusterError where a newer operator wrote what this version does not know."""
    try:
        return TrainingRunStatus.model_validate(content.get("status") or {})
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise ClusterError(
            f"the operator wrote a status that this version does not understand: status.{where}",
            "the operator is newer than this command: pip install --upgrade runwright",
        ) from error


def run_of(content: Mapping[str, Any]) -> TrainingRun:
    """The TrainingRun that an object holds, without what the API server adds. Raises SpecError."""
    return load_object(manifest(content))


def manifest(content: Mapping[str, Any]) -> dict[str, Any]:
    """What an apply sends: what a person may decide, without nulls, empty sections, status and the server's own
    metadata."""
    metadata = {key: content["metadata"][key] for key in _OWN_METADATA if content["metadata"].get(key)}
    if metadata.get("annotations"):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != _KUBECTLS}
    kept: dict[str, Any] = _without_nulls(
        {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": content.get("spec")}
    )
    return {**kept, "spec": _without_empty(kept["spec"], TrainingRunSpec)} if kept.get("spec") else kept


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _without_empty(value: Any, part: type[BaseModel]) -> Any:
    """`value` without the sections that say nothing: as good as not given, but where they had fields before, an apply
    makes them null and is refused (kubernetes/kubernetes#135841). A section that is off unless it is given stays."""
    if not isinstance(value, Mapping):
        return value
    kinds = {field.alias or name: field.annotation for name, field in part.model_fields.items()}
    kept = {}
    for key, item in value.items():
        kind = kinds.get(key)
        if isinstance(kind, type) and issubclass(kind, BaseModel):  # not `KIND | None`: it is always there
            item = _without_empty(item, kind)
            if item == {}:
                continue
        kept[key] = item
    return kept


def gitops(content: Mapping[str, Any]) -> str | None:
    """The tool that keeps the object as a git repository has it, when there is one."""
    metadata = content.get("metadata") or {}
    marks = [*(metadata.get("labels") or {}), *(metadata.get("annotations") or {})]
    if any(mark.startswith("argocd.argoproj.io/") for mark in marks):
        return "Argo CD"
    return "Flux" if any(".toolkit.fluxcd.io/" in mark for mark in marks) else None
