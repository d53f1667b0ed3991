"""`spec.train`: the task, the model, and how it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field, model_validator

from runwright_api.part import Part, Path, Rule, fill, unless
from runwright_api.spec.augment import AUGMENT_RULES, Augment
from runwright_api.spec.backend import TRAIN_RULES as BACKEND_RULES
from runwright_api.spec.backend import Backend
from runwright_api.spec.checkpoint import CheckpointPolicy
from runwright_api.spec.code import TRAIN_RULES, Code
from runwright_api.spec.distributed import DISTRIBUTED_RULES, Distributed
from runwright_api.spec.language import LANGUAGE_RULES
from runwright_api.spec.model import MODELS, OWN_MODELS, Modality, ModelSpec, Task, TaskKind, modality, models_of
from runwright_api.spec.placement import Retries, Scheduling, TrainResources
from runwright_api.spec.precision import PRECISION_RULES, Precision
from runwright_api.spec.reinforcement import TRAIN_RULES as REINFORCEMENT_RULES
from runwright_api.spec.reinforcement import Environment, Reinforcement
from runwright_api.spec.transfer import Ema
from runwright_api.spec.trees import TRAIN_RULES as TREE_RULES
from runwright_api.spec.trees import patient
from runwright_api.spec.unsupervised import TRAIN_RULES as UNSUPERVISED_RULES
from runwright_api.text import Duration, Image


class EarlyStopping(Part):
    """Stop when the validation loss no longer falls, and keep the best epoch."""

    enabled: bool = True
    """false trains all epochs. Default: true."""
    patience: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Epochs, or rounds of boosting, to wait for an improvement. Default: 10; rounds 50."""
    min_delta: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    """Smaller improvements do not count. Default: 0."""


def _foreign_model(train: TrainSpec) -> list[Path]:
    return unless(train.code is not None or train.model.name in models_of(train.task), "model", "name")


def _fitting_models() -> str:
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in (MODELS | OWN_MODELS).items())


def _model_fits_cel() -> str:
    """The default model always fits, so that only a given name is looked at."""

    def among(names: tuple[str, ...]) -> str:
        return f"self.model.name in [{', '.join(repr(name) for name in names)}]"

    own = " || ".join(f"(self.task == '{task}' && {among(names)})" for task, names in OWN_MODELS.items())
    rest = " && ".join(f"self.task != '{task}'" for task in OWN_MODELS)
    usual = " || ".join(f"(self.task.startsWith('{kind}-') && {among(names)})" for kind, names in MODELS.items())
    fits = f"{own} || ({rest} && ({usual}))"
    return f"!has(self.model) || !has(self.model.name) || {fits}"


class TrainSpec(Part):
    """The task, the model, and how it learns."""

    task: Task
    """What is learned."""
    model: ModelSpec = ModelSpec()
    """The model."""
    environment: Environment | None = None
    """environment-control: where the agent acts, in place of data."""
    reinforcement: Reinforcement | None = None
    """environment-control: how the agent learns. Default: by what its actions are."""
    code: Code | None = None
    """The user's own training code in place of a built-in model."""
    image: Image | None = None
    """The image of the pods that run `code`. Used in a cluster only. Default: the operator's image for training."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 50
    """At most this many passes over the training split. Default: 50."""
    max_steps: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    """At most this many optimizer steps. Default: as many as the epochs have."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Rows of a batch, for each process. Default: 64."""
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 0.001
    """Highest learning rate. Default: 0.001."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Each layer of a pretrained encoder learns at this share of the rate of the layer above it. Default: 1."""
    optimizer: Literal["adamw", "adam", "sgd", "adafactor"] = "adamw"
    """Default: adamw."""
    weight_decay: Annotated[float, Field(ge=0.0, le=100.0)] = 0.01
    """Weight decay. Default: 0.01."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Momentum of sgd. Default: 0.9."""
    schedule: Literal["constant", "cosine", "onecycle", "linear", "wsd", "inverse"] = "cosine"
    """How the learning rate falls; wsd: in the last fifth alone; inverse: by the root of the steps. Default: cosine."""
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
    """Random changes of training images and texts."""
    ema: Ema | None = None
    """Evaluate and serve an average of the weights. Default: the weights themselves."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of weights, order and augmentation. Default: 0."""
    precision: Precision = "auto"
    """auto: bf16 where the GPU has it, else fp32; fp8: products of transformer blocks in 8 bits, the rest in bf16, on
    GPUs from Ada and Hopper on. Default: auto."""
    checkpoint: CheckpointPolicy = CheckpointPolicy()
    """When the state of training is saved."""
    distributed: Distributed = Distributed()
    """How the processes of a training share its work and its memory."""
    resources: TrainResources = TrainResources()
    """Nodes, GPUs, processes, CPU and memory."""
    scheduling: Scheduling = Scheduling()
    """Queue, priority, nodes. Used in a cluster only."""
    retries: Retries = Retries()
    """How often training starts again, from its newest checkpoint."""
    collective_timeout: Duration = "10m"
    """Processes that wait so long for each other, no step ending, are stopped, each with its stack. Default: 10m."""
    timeout: Duration | None = None
    """Training that takes longer is stopped and fails. Default: no limit."""
    backend: Backend = "pytorchjob"
    """What runs training in a cluster; rayjob is for `code` written for Ray Train. Default: pytorchjob."""

    rules = (
        *AUGMENT_RULES,
        *TRAIN_RULES,
        *BACKEND_RULES,
        *DISTRIBUTED_RULES,
        *PRECISION_RULES,
        *TREE_RULES,
        *LANGUAGE_RULES,
        *UNSUPERVISED_RULES,
        *REINFORCEMENT_RULES,
        Rule(
            message=f"model.name fits the task: {_fitting_models()}",
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
                if used and self.kind != "classification"
            ],
            cel=(
                "self.task.endsWith('-classification') || ((!has(self.labelSmoothing) || self.labelSmoothing == 0.0)"
                " && (!has(self.classWeights) || self.classWeights == 'none'))"
            ),
            cure="remove it",
        ),
        Rule(
            message="layerDecay needs a pretrained model",
            broken=lambda self: unless(self.layer_decay == 1.0 or self.model.name == "pretrained", "layerDecay"),
            cel=(
                "!has(self.layerDecay) || self.layerDecay == 1.0"
                " || (has(self.model) && has(self.model.name) && self.model.name == 'pretrained')"
            ),
            cure="remove it, or set `model: {name: pretrained}`",
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
        return cast(TaskKind, self.task.partition("-")[2])

    @model_validator(mode="before")
    @classmethod
    def _choose_model(cls, value: Any) -> Any:
        """The default model is the task's first; own code stands in for one."""
        task = value.get("task") if isinstance(value, Mapping) else None
        if not isinstance(task, str) or modality(task) is None or value.get("code") is not None:
            return value
        model = {} if value.get("model") is None else value["model"]
        if task in OWN_MODELS:  # language models see a token too seldom to need it, and an autoencoder is narrow
            model = fill(model, "dropout", 0.0)
        stopping = patient(value.get("earlyStopping", value.get("early_stopping")), model)
        rest = {key: item for key, item in value.items() if key not in ("earlyStopping", "early_stopping")}
        filled = {} if stopping is None else {"earlyStopping": stopping}
        return {**rest, **filled, "model": fill(model, "name", models_of(task)[0])}
