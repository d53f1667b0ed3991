"""`spec.train`: the task, the model, and how it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runwright_api.part import Part, Path, Rule, fill, unless
from runwright_api.spec.code import Code
from runwright_api.spec.model import MODELS, Modality, ModelSpec, Task, TaskKind, modality
from runwright_api.spec.placement import Retries, Scheduling, TrainResources
from runwright_api.text import Duration, Image


class EarlyStopping(Part):
    """Stop when the validation loss no longer falls, and keep the best epoch."""

    enabled: bool = True
    """false trains all epochs. Default: true."""
    patience: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Epochs to wait for an improvement. Default: 10."""
    min_delta: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    """Smaller improvements do not count. Default: 0."""


class Augment(Part):
    """Random changes of training images."""

    crop: bool = False
    """Pad and crop at random. Default: false."""
    flip: bool = False
    """Mirror left and right at random; only where that keeps the label. Default: false."""


class CheckpointPolicy(Part):
    """When the state of training is saved, so that a killed training continues bit-exactly."""

    every_steps: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """Steps between checkpoints. Default: once an epoch."""
    keep: Annotated[int, Field(ge=1, le=100)] = 2
    """Checkpoints kept. Default: 2."""


def _foreign_model(train: TrainSpec) -> list[Path]:
    return unless(train.model.name in MODELS[train.modality], "model", "name")


def _model_fits_cel() -> str:
    """The default model always fits, so that only a given name is looked at."""
    fits = " || ".join(
        f"(self.task.startsWith('{kind}-') && self.model.name in [{', '.join(repr(name) for name in names)}])"
        for kind, names in MODELS.items()
    )
    return f"!has(self.model) || !has(self.model.name) || {fits}"


class TrainSpec(Part):
    """The task, the model, and how it learns."""

    task: Task
    """What is learned."""
    model: ModelSpec = ModelSpec()
    """The model."""
    code: Code | None = None
    """The user's own training code in place of a built-in model. Not available yet."""
    image: Image | None = None
    """The user's own training image. Not available yet."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 50
    """At most this many passes over the training split. Default: 50."""
    max_steps: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """At most this many optimizer steps. Default: as many as the epochs have."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Rows of a batch, for each process. Default: 64."""
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 0.001
    """Highest learning rate. Default: 0.001."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Default: adamw."""
    weight_decay: Annotated[float, Field(ge=0.0, le=100.0)] = 0.01
    """Weight decay. Default: 0.01."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Momentum of sgd. Default: 0.9."""
    schedule: Literal["constant", "cosine", "onecycle", "linear"] = "cosine"
    """How the learning rate falls. Default: cosine."""
    warmup_steps: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Steps in which the learning rate rises from 0. Default: 0."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Label smoothing of classification. Default: 0."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced weighs rare classes more. Default: none."""
    gradient_clip: Annotated[float, Field(ge=0.0, le=1e6)] = 1.0
    """Largest norm of the gradient; 0 does not clip. Default: 1."""
    accumulate: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Batches whose gradients make one step. Default: 1."""
    early_stopping: EarlyStopping = EarlyStopping()
    """Stop when the validation loss no longer falls."""
    augment: Augment = Augment()
    """Random changes of training images."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of weights, order and augmentation. Default: 0."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the GPU has it, else fp32. Default: auto."""
    checkpoint: CheckpointPolicy = CheckpointPolicy()
    """When the state of training is saved."""
    resources: TrainResources = TrainResources()
    """Nodes, GPUs, processes, CPU and memory."""
    scheduling: Scheduling = Scheduling()
    """Queue, priority, nodes. Used in a cluster only."""
    retries: Retries = Retries()
    """How often training starts again. Used in a cluster only."""
    timeout: Duration | None = None
    """Training that takes longer is stopped and fails. Default: no limit."""
    backend: Literal["pytorchjob", "trainjob"] = "pytorchjob"
    """What runs training in a cluster. Default: pytorchjob. trainjob is not available yet."""

    rules = (
        Rule(
            message="model.name fits the task: tabular mlp; image cnn, resnet; text textcnn, transformer, pretrained",
            broken=_foreign_model,
            cel=_model_fits_cel(),
            cure="choose a model of the task, or change train.task",
        ),
        Rule(
            message="labelSmoothing and classWeights are for classification",
            broken=lambda self: [
                (field,)
                for field, used in (
                    ("labelSmoothing", self.label_smoothing > 0.0),
                    ("classWeights", self.class_weights != "none"),
                )
                if used and self.kind == "regression"
            ],
            cel=(
                "!self.task.endsWith('-regression') || ((!has(self.labelSmoothing) || self.labelSmoothing == 0.0)"
                " && (!has(self.classWeights) || self.classWeights == 'none'))"
            ),
            cure="remove it",
        ),
        Rule(
            message="augment is for images",
            broken=lambda self: unless(
                self.modality == "image" or not (self.augment.crop or self.augment.flip), "augment"
            ),
            cel=(
                "self.task.startsWith('image-') || !has(self.augment)"
                " || ((!has(self.augment.crop) || !self.augment.crop)"
                " && (!has(self.augment.flip) || !self.augment.flip))"
            ),
            cure="remove it",
        ),
    )

    @property
    def modality(self) -> Modality:
        """What the inputs are."""
        found = modality(self.task)
        assert found is not None  # every value of Task starts with a modality
        return found

    @property
    def kind(self) -> TaskKind:
        """What the output is."""
        return "regression" if self.task.endswith("-regression") else "classification"

    @model_validator(mode="before")
    @classmethod
    def _choose_model(cls, value: Any) -> Any:
        """The default model is the task's first."""
        task = value.get("task") if isinstance(value, Mapping) else None
        found = modality(task) if isinstance(task, str) else None
        if found is None:
            return value
        model = {} if value.get("model") is None else value["model"]
        return {**value, "model": fill(model, "name", MODELS[found][0])}
