"""From raw API objects to what the brain looks at; pure, and never raises, whatever the objects hold."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from runwright_api import names
from runwright_api.loading import load_object
from runwright_api.problems import SpecError
from runwright_api.recipe import recipe_digest
from runwright_api.spec.reinforcement import own_files
from runwright_api.spec.train import TrainSpec
from runwright_api.status import Condition, Revision, TrainingRunStatus
from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.cluster import StageRecord
from runwright_operator.brain.observed import RecordsSeen
from runwright_operator.resources import DATA_JOBS, JOBS, OPTIONAL, Key, Resource
from runwright_pipelines.secrets import clashes

MOST_PROBLEMS = 5

_INSTALL = {"trainjob": "Kubeflow Trainer 2 and JobSet", "rayjob": "KubeRay"}
_INSTALL_ENGINE = {"spark": "the Kubeflow Spark operator", "ray": "KubeRay"}

# What a status may lose and still say what was trained: what an older operator does not know of a newer one's.
_DISPENSABLE = ("failure", "checks", "metrics", "trigger", "gpuSeconds", "cost", "deployTime", "startTime", "request")


def read_run(
    raw: Mapping[str, Any], *, has_storage: bool = True, missing: Collection[Resource] = ()
) -> tuple[TrainingRun | None, tuple[str, ...]]:
    """The TrainingRun of a raw object, or why its spec is refused. A status that cannot be read refuses nothing.

    `has_storage`: whether the administrator configured a place for artifacts. `missing`: kinds that the cluster lacks.
    """
    content = {name: value for name, value in raw.items() if name != "status"}
    try:
        run = load_object(content)
    except SpecError as error:
        told = [f"{problem.path}: {problem.message}" if problem.path else problem.message for problem in error.problems]
        return None, tuple(clean(one) for one in told[:MOST_PROBLEMS])
    except RecursionError:
        return None, ("the spec is nested too deeply",)
    unreachable = (*_unreachable(run), *_not_installed(run, missing), *clashes(run))
    if not has_storage and run.spec.storage.uri is None:
        unreachable += ("spec.storage.uri: the operator has no storage of its own; give an s3:// address",)
    return (None, unreachable) if unreachable else (run, ())


def clean(text: str) -> str:
    """JSON can hold half a character, which nothing can write down again, not even a status."""
    return text.encode("utf-8", "replace").decode()


def read_annotations(raw: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of a raw object."""
    given = _mapping(_mapping(raw.get("metadata")).get("annotations"))
    return {name: clean(value) for name, value in given.items() if isinstance(value, str)}


def digest_of(run: TrainingRun) -> str:
    """The recipe's digest. Our own images are left out: an upgrade of the operator must not train every model again."""
    return recipe_digest(run, {})


def _unreachable(run: TrainingRun) -> Iterable[str]:
    """Paths of the user's machine, which no pod can read."""
    cure = "a pod cannot read a path of your machine; give an http(s):// or s3:// address"
    for index, source in enumerate(run.spec.data.sources):
        if source.path is not None and "://" not in source.path:
            yield f"spec.data.sources[{index}].path: {cure}"
        if source.sql is not None and source.sql.path is not None:
            yield f"spec.data.sources[{index}].sql.path: {cure}, or a database server"
        elif source.sql is not None and source.sql.secret_ref is None:
            yield f"spec.data.sources[{index}].sql.secretRef: name the Secret whose key uri holds the address"
        if source.kafka is not None and source.kafka.sasl is not None and source.kafka.secret_ref is None:
            yield f"spec.data.sources[{index}].kafka.secretRef: name the Secret that holds username and password"
        if source.logs is not None and source.logs.path is not None and "://" not in source.logs.path:
            yield f"spec.data.sources[{index}].logs.path: a pod cannot read a path of your machine; give logs.s3"
        if source.feedback is not None and source.feedback.predictions.path is not None:
            place = f"spec.data.sources[{index}].feedback.predictions"
            yield f"{place}.path: a pod cannot read a path of your machine; give predictions.s3"
    if run.spec.train.model.pretrained is not None:  # nothing fetches one from storage yet
        yield "spec.train.model.pretrained: a pod has no such folder; use textcnn or transformer, or one machine"
    yield from _own_code_out_of_reach(run.spec.train)
    yield from _environment_out_of_reach(run.spec.train)
    if run.spec.data.engine != "local" and run.spec.data.cluster is None:
        yield (
            f"spec.data.cluster: `engine: {run.spec.data.engine}` needs an image with the engine and Runwright, and a"
            " volume that all its pods mount; docs/data/engines.md says how"
        )
    if run.spec.train.backend == "rayjob" and run.spec.train.image is None:  # our own images are without Ray
        yield "spec.train.image: `backend: rayjob` needs an image with Ray and Runwright; docs/backends.md says how"


def _own_code_out_of_reach(train: TrainSpec) -> Iterable[str]:
    if train.code is None:
        return
    if train.code.path is not None and not train.code.path.startswith("s3://"):
        yield (
            "spec.train.code.path: a pod cannot read a path of your machine; copy the code to object storage and give"
            " its s3:// address, or put it into train.image and give code.command"
        )
    if train.code.command and train.image is None:
        yield "spec.train.image: a command is one of an image; give the image, made from Runwright's (docs/own-code.md)"


def _environment_out_of_reach(train: TrainSpec) -> Iterable[str]:
    for path, value in own_files(train.environment):
        if not value.startswith("s3://"):
            yield (
                f"spec.train.environment.{path}: a pod cannot read a path of your machine; copy the file to object"
                " storage and give its s3:// address"
            )


def _not_installed(run: TrainingRun, missing: Collection[Resource]) -> Iterable[str]:
    """The kind of job that is asked for, where nobody would run it."""
    backend = run.spec.train.backend
    resource = JOBS[backend]
    if resource in OPTIONAL and resource in missing:
        yield (
            f"spec.train.backend: this cluster has no {resource.kind} ({resource.api_version}); install "
            f"{_INSTALL[backend]}, or use `backend: pytorchjob`"
        )
    engine = DATA_JOBS.get(run.spec.data.engine)
    if engine is not None and engine in missing:
        yield (
            f"spec.data.engine: this cluster has no {engine.kind} ({engine.api_version}); install "
            f"{_INSTALL_ENGINE[run.spec.data.engine]}, or use `engine: local`"
        )


def read_status(raw: Mapping[str, Any]) -> TrainingRunStatus:
    """The status of a raw object; what cannot be read of it is left out, part by part."""
    status = raw.get("status")
    if not isinstance(status, Mapping):
        return TrainingRunStatus()
    try:
        return TrainingRunStatus.model_validate(status, by_alias=True, by_name=False)
    except (ValidationError, RecursionError):
        pass
    kept: dict[str, Any] = {}
    for name, value in status.items():
        if name == "revisions":
            value = [one for one in (_read_revision(item) for item in _list(value)) if one is not None]
        elif name == "conditions":
            value = [item for item in _list(value) if _valid(Condition, item)]
        if _valid(TrainingRunStatus, {name: value}):
            kept[name] = value
    return TrainingRunStatus.model_validate(kept, by_alias=True, by_name=False)


def read_history(raw: Mapping[str, Any], key: Key) -> TrainingRunStatus | None:
    """What the object itself says of its past; None where it says nothing, or speaks of another TrainingRun, of which
    it is a copy."""
    text = read_annotations(raw).get(names.ANNOTATION_HISTORY)
    if text is None:
        return None
    try:
        told = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, Mapping) or told.get("run") != str(key):
        return None
    return read_status({"status": told})


def _finite(text: str) -> float:
    """A number that a status can hold."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _read_revision(raw: Any) -> Any:
    """The revision, without what cannot be read; None when it is none."""
    if not isinstance(raw, Mapping):
        return None
    if _valid(Revision, raw):
        return raw
    core = {name: value for name, value in raw.items() if name not in _DISPENSABLE}
    if not _valid(Revision, core):
        return None
    for name in _DISPENSABLE:
        if name in raw and _valid(Revision, {**core, name: raw[name]}):
            core[name] = raw[name]
    return core


def read_records(config_maps: Iterable[Mapping[str, Any]], uid: str) -> dict[int, RecordsSeen]:
    """The records of each revision. What is no record, or another run's, is passed over."""
    found: dict[int, RecordsSeen] = {}
    for config_map in config_maps:
        metadata = _mapping(config_map.get("metadata"))
        labels = _mapping(metadata.get("labels"))
        number = str(labels.get(names.LABEL_REVISION, ""))
        if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) > 0):
            continue
        if labels.get(names.LABEL_RUN_UID) != uid:
            continue
        recipe = _mapping(metadata.get("annotations")).get(names.ANNOTATION_RECIPE)
        stages = dict(_stages(_mapping(config_map.get("data"))))
        found[int(number)] = RecordsSeen(recipe=recipe if isinstance(recipe, str) else "", stages=stages)
    return found


def _stages(data: Mapping[str, Any]) -> Iterable[tuple[str, StageRecord]]:
    for key, text in data.items():
        if not isinstance(key, str) or not key.endswith(".json") or not isinstance(text, str):
            continue
        try:
            record = StageRecord.model_validate(json.loads(text))
        except (ValueError, RecursionError):  # ValidationError is a ValueError
            continue
        if key == f"{record.stage}.json":
            yield record.stage, record


def _valid(model: type[TrainingRunStatus | Revision | Condition], value: Any) -> bool:
    try:
        model.model_validate(value, by_alias=True, by_name=False)
    except (ValidationError, RecursionError):
        return False
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def service_is_kept(raw: Mapping[str, Any]) -> bool:
    """Whether the InferenceService outlives the run, read from a spec that need not be valid."""
    return _mapping(_mapping(raw.get("spec")).get("deploy")).get("onDelete") == "Keep"
