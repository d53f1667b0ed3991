"""`spec`: the parts together, and the rules between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runwright_api.part import Broken, Part, Path, Rule, fill, unless
from runwright_api.spec.cleaning import CLEANING_RULES
from runwright_api.spec.data import DataSpec
from runwright_api.spec.delivery import DeploySpec, PackageSpec, RegisterSpec, StorageSpec
from runwright_api.spec.engines import ENGINE_RULES
from runwright_api.spec.evaluate import METRICS, EvaluateSpec
from runwright_api.spec.features import FEATURE_RULES
from runwright_api.spec.feedback import FEEDBACK_RULE
from runwright_api.spec.folds import FOLD_RULES
from runwright_api.spec.joins import JOIN_RULE
from runwright_api.spec.language import EXAMPLES_RULE
from runwright_api.spec.later import MonitorSpec, RetrainSpec
from runwright_api.spec.model import models_of
from runwright_api.spec.prepare import PrepareSpec
from runwright_api.spec.reinforcement import RUN_RULES as REINFORCEMENT_RULES
from runwright_api.spec.reinforcement import TASK as CONTROL
from runwright_api.spec.search_space import fields as searchable
from runwright_api.spec.search_space import misfits
from runwright_api.spec.series import SERIES_RULES, fill_split
from runwright_api.spec.train import TrainSpec
from runwright_api.spec.trials import SPEC_RULES as TRIAL_RULES
from runwright_api.spec.tune import OBJECTIVE_METRICS, TuneSpec
from runwright_api.spec.unsupervised import learns_alone, learns_alone_cel


class History(Part):
    """How much of the past is kept."""

    limit: Annotated[int, Field(ge=1, le=30)] = 10
    """Revisions kept in status, and packages that a rollback can use. Default: 10."""


def _foreign_metrics(spec: TrainingRunSpec) -> list[Path]:
    fitting = METRICS[spec.train.kind]
    return [
        ("evaluate", "gate", index, "metric")
        for index, bound in enumerate(spec.evaluate.gate)
        if bound.metric not in fitting
    ]


def _metrics_fit_cel() -> str:
    def all_in(kind: str) -> str:
        return f"self.evaluate.gate.all(bound, bound.metric in [{', '.join(repr(name) for name in METRICS[kind])}])"

    return "!has(self.evaluate) || !has(self.evaluate.gate) || " + " || ".join(
        f"(self.train.task.endsWith('-{kind}') && {all_in(kind)})" for kind in METRICS
    )


def _misfits(spec: TrainingRunSpec) -> Iterable[Broken]:
    return () if spec.tune is None else misfits(spec.tune, spec.train)


def _foreign_objective(spec: TrainingRunSpec) -> list[Path]:
    metric = spec.tune.objective.metric if spec.tune else None
    fitting = OBJECTIVE_METRICS.get(spec.train.kind, ("loss",))
    return unless(metric is None or metric in fitting, "tune", "objective", "metric")


def _objective_fits_cel() -> str:
    def among(metrics: tuple[str, ...]) -> str:
        return f"self.tune.objective.metric in [{', '.join(repr(name) for name in metrics)}]"

    kinds = [f"(self.train.task.endsWith('-{kind}') && {among(names)})" for kind, names in OBJECTIVE_METRICS.items()]
    fits = " || ".join([*kinds, "self.tune.objective.metric == 'loss'"])
    return f"!has(self.tune) || !has(self.tune.objective) || !has(self.tune.objective.metric) || {fits}"


def _uneven_patches(spec: TrainingRunSpec) -> list[Path]:
    model, image = spec.train.model, spec.prepare.image
    return unless(
        model.name != "vit" or (image.height % model.patch == 0 and image.width % model.patch == 0),
        "train",
        "model",
        "patch",
    )


def _patches_cel() -> str:
    def of_image(side: str) -> str:
        has = f"has(self.prepare) && has(self.prepare.image) && has(self.prepare.image.{side})"
        return f"({has} ? self.prepare.image.{side} : 32)"

    patch = "(has(self.train.model.patch) ? self.train.model.patch : 4)"
    even = " && ".join(f"{of_image(side)} % {patch} == 0" for side in ("height", "width"))
    return f"!has(self.train.model) || !has(self.train.model.name) || self.train.model.name != 'vit' || ({even})"


class TrainingRunSpec(Part):
    """What is wanted: a served model, from these data, in this way."""

    data: DataSpec = DataSpec()
    """Where the raw data come from. Every task but environment-control needs them."""
    prepare: PrepareSpec = PrepareSpec()
    """From raw rows to model inputs."""
    train: TrainSpec
    """The task, the model, and how it learns."""
    tune: TuneSpec | None = None
    """A search for good hyperparameters."""
    evaluate: EvaluateSpec = EvaluateSpec()
    """How the model is judged, and the gate it must pass."""
    package: PackageSpec = PackageSpec()
    """What is delivered."""
    registry: Annotated[RegisterSpec, Field(alias="register")] = RegisterSpec()
    """Where it is published."""
    storage: StorageSpec = StorageSpec()
    """Where artifacts lie. Used in a cluster only."""
    deploy: DeploySpec = DeploySpec()
    """How it serves."""
    monitor: MonitorSpec | None = None
    """What is watched while it serves. Not available yet."""
    retrain: RetrainSpec | None = None
    """When it is trained again. Not available yet."""
    layout: Literal["compact", "stages"] = "compact"
    """compact: few pods; stages: one a stage, to look inside while developing. Default: compact."""
    suspend: bool = False
    """Start nothing new; what serves keeps serving. Used in a cluster only. Default: false."""
    history: History = History()
    """How much of the past is kept."""

    rules = (
        Rule(
            message="a tabular task needs prepare.target, the column to predict",
            broken=lambda self: unless(
                self.train.modality != "tabular" or learns_alone(self.train.task) or self.prepare.target != "",
                "prepare",
                "target",
            ),
            cel=(
                f"!self.train.task.startsWith('tabular-') || {learns_alone_cel('self.train.task')}"
                " || (has(self.prepare) && has(self.prepare.target))"
            ),
            cure="add `prepare: {target: COLUMN}`",
        ),
        EXAMPLES_RULE,
        *REINFORCEMENT_RULES,
        *SERIES_RULES,
        *CLEANING_RULES,
        *FEATURE_RULES,
        *FOLD_RULES,
        JOIN_RULE,
        FEEDBACK_RULE,
        *ENGINE_RULES,
        Rule(
            message="the metrics of the gate fit the task",
            broken=_foreign_metrics,
            cel=_metrics_fit_cel(),
            cure="; ".join(f"{kind} has {', '.join(names)}" for kind, names in METRICS.items()),
        ),
        Rule(
            message="every parameter of tune.searchSpace is a field of spec.train, of its type and within its bounds",
            broken=_misfits,
            cel=(
                "!has(self.tune) || !has(self.tune.searchSpace)"
                f" || self.tune.searchSpace.all(one, one.name in [{', '.join(repr(name) for name in searchable())}])"
            ),
        ),
        Rule(
            message="tune.objective.metric fits the task",
            broken=_foreign_objective,
            cel=_objective_fits_cel(),
            cure="use loss, or a metric of the task",
        ),
        Rule(
            message="automl chooses the model itself",
            broken=lambda self: unless(
                self.tune is None
                or not self.tune.automl
                or self.train.kind not in OBJECTIVE_METRICS
                or (
                    self.train.model.name == models_of(self.train.task)[0]
                    and self.train.model.model_fields_set <= {"name"}
                    and self.train.code is None
                ),
                "train",
                "model",
            ),
            cel=(
                "!has(self.tune) || !has(self.tune.automl) || !self.tune.automl"
                " || (!has(self.train.model) && !has(self.train.code))"
            ),
            cure="remove `train.model` and `train.code`, or give a searchSpace in place of automl",
        ),
        Rule(
            message="automl knows classification and regression",
            broken=lambda self: unless(
                self.tune is None or not self.tune.automl or self.train.kind in OBJECTIVE_METRICS, "tune", "automl"
            ),
            cel=(
                "!has(self.tune) || !has(self.tune.automl) || !self.tune.automl"
                " || self.train.task.endsWith('-classification') || self.train.task.endsWith('-regression')"
            ),
            cure="give a searchSpace in place of automl",
        ),
        *TRIAL_RULES,
        Rule(
            message="the patches of vit divide the images",
            broken=_uneven_patches,
            cel=_patches_cel(),
            cure="choose a patch that divides prepare.image.height and width",
        ),
        Rule(
            message="a stratified split needs classes",
            broken=lambda self: unless(
                self.train.kind in ("classification", "control") or self.prepare.split.strategy != "stratified",
                "prepare",
                "split",
                "strategy",
            ),
            cel=(
                "self.train.task.endsWith('-classification') || !has(self.prepare) || !has(self.prepare.split)"
                " || !has(self.prepare.split.strategy) || self.prepare.split.strategy != 'stratified'"
            ),
            cure="for other tasks use random, group, time, hash or predefined",
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_by_task(cls, value: Any) -> Any:
        """Defaults of prepare that the task decides."""
        if not isinstance(value, Mapping):
            return value
        task = _member(value.get("train"), "task")
        prepare = {} if value.get("prepare") is None else value["prepare"]
        if not isinstance(task, str) or task == CONTROL:  # nothing is prepared of an environment
            return value
        if task == "text-generation":  # learns from the text itself, whose case matters
            text = fill(_member(prepare, "text") or {}, "lowercase", False)
            prepare = fill(prepare, "text", text, replace=True)
        elif not task.startswith(("tabular-", "series-")):
            prepare = fill(prepare, "target", "label")
        if task.startswith("series-"):
            prepare = fill_split(prepare)
        elif not task.endswith("-classification"):  # there are no classes to stratify by
            split = fill(_member(prepare, "split") or {}, "strategy", "random")
            prepare = fill(prepare, "split", split, replace=True)
        return {**value, "prepare": prepare}


def _member(part: Any, field: str) -> Any:
    """A field of a part that is a mapping or already a model."""
    return part.get(field) if isinstance(part, Mapping) else getattr(part, field, None)
