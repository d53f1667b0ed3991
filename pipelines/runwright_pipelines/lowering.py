"""From a TrainingRun to the configurations of the stages; pure.

Every default is resolved here, so that a component image never needs to know the TrainingRun. Paths stay as the user
wrote them; the folder that they start from is known only when the pipeline runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel

from runwright_api.spec.data import TABLES
from runwright_api.spec.data import Source as ApiSource
from runwright_api.spec.expectations import Expectation
from runwright_api.spec.feedback import FeedbackSource
from runwright_api.spec.joins import Join
from runwright_api.spec.reinforcement import Reinforcement
from runwright_api.spec.run import TrainingRunSpec
from runwright_api.spec.s3 import S3Source
from runwright_api.spec.sql import SqlSource
from runwright_api.spec.train import TrainSpec
from runwright_api.spec.unsupervised import Unsupervised
from runwright_api.text import seconds
from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.config import (
    AsOfConfig,
    CollectConfig,
    DeployConfig,
    EnvironmentConfig,
    EvaluateConfig,
    JoinConfig,
    PackageConfig,
    PrepareConfig,
    RegisterConfig,
    Source,
    TrainConfig,
)
from runwright_components.contract.config.references import ReferenceConfig
from runwright_components.contract.config.trees import TREE_MODELS, TreesConfig
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.volumes import mount_path
from runwright_pipelines.lowering_tune import lower_tune


@dataclass(frozen=True)
class StageConfigs:
    """What each stage of one TrainingRun is told."""

    collect: CollectConfig
    prepare: PrepareConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    package: PackageConfig
    register: RegisterConfig
    deploy: DeployConfig


def lower(run: TrainingRun) -> StageConfigs:
    """The stage configurations of a valid TrainingRun."""
    spec, name = run.spec, run.metadata.name
    return StageConfigs(
        collect=CollectConfig(
            sources=tuple(_source(one, labelled=spec.train.kind != "generation") for one in spec.data.sources),
            max_rows=spec.data.max_rows,
            joins=tuple(_join(each) for each in spec.data.joins),
            references=_references(spec.prepare.expectations),
            environment=_environment(spec.train),
        ),
        prepare=_prepare(spec),
        train=_train(spec.train).model_copy(update={"tune": lower_tune(spec), "nested": spec.prepare.split.nested}),
        evaluate=EvaluateConfig.model_validate(
            {
                "task": spec.train.kind,
                "slices": spec.evaluate.slices,
                "gate": [bound.model_dump(exclude={"min_gain"}) for bound in spec.evaluate.gate],
                "run_name": name,
                **({} if spec.evaluate.episodes is None else {"episodes": spec.evaluate.episodes}),
            }
        ),
        package=PackageConfig(name=name, **_same(spec.package, without={"quantized"})),
        register=RegisterConfig(name=name, uri=spec.registry.uri or ""),
        deploy=DeployConfig(name=name, mode="none" if spec.deploy.mode == "None" else spec.deploy.mode),
    )


def _join(join: Join) -> JoinConfig:
    asof = None
    if join.asof is not None:
        tolerance = None if join.asof.tolerance is None else seconds(join.asof.tolerance)
        asof = AsOfConfig(**_same(join.asof, without={"tolerance"}), tolerance_seconds=tolerance)
    return JoinConfig(
        source=join.source,
        left=join.by or join.left,
        right=join.by or join.right,
        relation=join.relation,
        asof=asof,
    )


def _references(expectations: Iterable[Expectation]) -> tuple[ReferenceConfig, ...]:
    """The columns that expectations look into, by source."""
    columns: dict[str, dict[str, None]] = {}
    for each in expectations:
        if each.references is not None:
            columns.setdefault(each.references.source, {})[each.references.column] = None
    return tuple(ReferenceConfig(source=source, columns=tuple(names)) for source, names in columns.items())


def _environment(train: TrainSpec) -> EnvironmentConfig | None:
    return None if train.environment is None else EnvironmentConfig.model_validate(_same(train.environment))


def _source(source: ApiSource, *, labelled: bool) -> Source:
    return Source.model_validate(
        {
            "name": source.name,
            "format": None if source.format in TABLES else source.format,
            "delta": _same(source.delta) if source.format == "delta" else None,
            "iceberg": _same(source.iceberg) if source.format == "iceberg" else None,
            "csv": _same(source.csv),
            "excel": _same(source.excel),
            "labelled": labelled,
            "incremental": None if source.incremental is None else _same(source.incremental),
            **_place(source),
        }
    )


def _place(source: ApiSource) -> dict[str, Any]:
    """Where a source is, and how it is read there."""
    if source.http:
        return {"uri": source.http.url, "headers_env": source.http.headers_from}
    if source.s3:
        return _same_s3(source.s3)
    if source.gcs:
        return {"uri": source.gcs.uri, "endpoint": source.gcs.endpoint}
    if source.azure:
        return {"uri": source.azure.uri, "endpoint": source.azure.endpoint, "account": source.azure.account}
    if source.hugging_face:
        hub = _same(source.hugging_face, without={"secret_ref"})
        return {"uri": f"hf://datasets/{hub['dataset']}", "hub": hub}
    if source.logs:
        place = _same_s3(source.logs.s3) if source.logs.s3 else {"uri": source.logs.path}
        return {**place, "logs": _same(source.logs, without={"path", "s3"})}
    if source.kafka:
        broker = source.kafka.bootstrap.partition(",")[0]
        kafka = _same(source.kafka, without={"secret_ref"})
        return {"uri": f"kafka://{broker}/{source.kafka.topic}", "kafka": kafka}
    if source.feedback:
        return _feedback(source.feedback)
    if source.synthetic:
        return {"uri": f"synthetic://{source.synthetic.kind}", "synthetic": _same(source.synthetic)}
    if source.sql:
        return {"uri": _database(source.sql), "sql": _same(source.sql, without={"secret_ref"})}
    if source.pvc:
        volume = mount_path(source.pvc.claim_name)
        return {"uri": str(PurePosixPath(volume, source.pvc.path)), "volume": volume}
    return {"uri": source.path}


def _feedback(feedback: FeedbackSource) -> dict[str, Any]:
    logged = feedback.predictions
    within = None if feedback.within is None else seconds(feedback.within)
    rules = {**_same(feedback, without={"predictions", "within"}), "within_seconds": within}
    return {**(_same_s3(logged.s3) if logged.s3 else {"uri": logged.path}), "format": "jsonl", "feedback": rules}


def _database(sql: SqlSource) -> str:
    """What a manifest calls the source: nothing of the server's address, which is a secret."""
    return "/".join(("sql:/", sql.dialect, *(part for part in (sql.path, sql.table) if part)))


def _same_s3(place: S3Source) -> dict[str, Any]:
    return {"uri": place.uri, "endpoint": place.endpoint, "region": place.region}


def _prepare(spec: TrainingRunSpec) -> PrepareConfig:
    same = dict(_same(spec.prepare))
    same["split"] = _same(spec.prepare.split, without={"nested"})
    if spec.train.kind == "generation":  # a language model's texts are cut by what it sees at once
        same["text"] = {**same["text"], "max_tokens": spec.train.model.context}
    return PrepareConfig.model_validate(
        {
            **same,
            "engine": spec.data.engine,
            "modality": spec.train.modality,
            "task": spec.train.kind,
            "pretrained": spec.train.model.pretrained,
        }
    )


# Fields that say how a cluster runs training, and what is spelled differently below.
_ELSEWHERE = {
    "task",
    "code",
    "environment",
    "image",
    "early_stopping",
    "checkpoint",
    "resources",
    "scheduling",
    "retries",
    "timeout",
    "backend",
    "gradient_clip",
}


def _train(train: TrainSpec) -> TrainConfig:
    stop = train.early_stopping
    processes = 1 if train.backend == "rayjob" else train.resources.processes_per_node
    return TrainConfig.model_validate(
        {
            **_same(train, without=_ELSEWHERE),
            "model": _model(train),
            **_own_code(train),
            **_agent(train),
            "task": train.kind,
            "modality": train.modality,
            "early_stopping": {"patience": stop.patience, "min_delta": stop.min_delta} if stop.enabled else None,
            "gradient_clip": train.gradient_clip or None,
            "checkpoint_every_steps": train.checkpoint.every_steps,
            "checkpoint_every_minutes": train.checkpoint.every_minutes,
            "checkpoint_keep": train.checkpoint.keep,
            "checkpoint_keep_every": train.checkpoint.keep_every,
            "collective_timeout": seconds(train.collective_timeout),
            "max_restarts": train.retries.failures if processes > 1 else 0,
            "processes": processes,
        }
    )


def _model(train: TrainSpec) -> Mapping[str, Any]:
    model = train.model
    if train.kind in UNSUPERVISED:
        return {**_same(model), "unsupervised": _same(model.unsupervised or Unsupervised())}
    if model.name not in TREE_MODELS:
        return _same(model)
    given = {} if model.trees is None else _same(model.trees)
    return {**_same(model), "trees": TreesConfig.of(model.name, train.kind, **given)}


def _agent(train: TrainSpec) -> Mapping[str, Any]:
    """How an agent learns, in full: what is left out and its default are the same configuration."""
    return {} if train.environment is None else {"reinforcement": _same(train.reinforcement or Reinforcement())}


def _own_code(train: TrainSpec) -> Mapping[str, Any]:
    """What stands in place of the model where the user brings code."""
    if train.code is None:
        return {}
    limit = seconds(train.timeout) if train.timeout else None
    workers = train.resources.processes_per_node if train.backend == "rayjob" else None
    code = {**_same(train.code), "timeout_seconds": limit, "ray_workers": workers}
    return {"model": {"name": "code"}, "code": code}


def _same(part: BaseModel, *, without: set[str] | None = None) -> Mapping[str, Any]:
    """The fields of a part, for a configuration whose fields have the same names."""
    return part.model_dump(exclude=without)
