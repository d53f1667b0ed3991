"""`spec.train`: the task, the model, and how it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runwright_api.part import Lax, Part, Path, Rule, fill, unless
from runwright_api.spec.shared import Compute
from runwright_api.text import Duration, FilePath, Image, LabelKey, LabelValue, ObjectName, Text

Task = Literal["tabular-classification", "tabular-regression", "image-classification", "text-classification"]
Modality = Literal["tabular", "image", "text"]
TaskKind = Literal["classification", "regression"]
ModelName = Literal["mlp", "cnn", "resnet", "textcnn", "transformer", "pretrained"]

MODELS: dict[Modality, tuple[ModelName, ...]] = {
    "tabular": ("mlp",),
    "image": ("cnn", "resnet"),
    "text": ("textcnn", "transformer", "pretrained"),
}
"""Built-in models of each modality, the default first."""

_PER_MODALITY: dict[str, Modality] = {"tabular": "tabular", "image": "image", "text": "text"}


def modality(task: str) -> Modality | None:
    """What the inputs of a task are; None for a task that does not exist."""
    return _PER_MODALITY.get(task.partition("-")[0])


class ModelSpec(Part):
    """The model. Sizes that a model does not have are ignored by it."""

    name: ModelName = "mlp"
    """tabular: mlp; image: cnn, resnet; text: textcnn, transformer, pretrained. Default: the first of these."""
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(max_length=32), Lax] = (128, 128)
    """Widths of the hidden layers of mlp; none makes a linear model. Default: 128, 128."""
    width: Annotated[int, Field(ge=1, le=16384)] = 64
    """Channels of cnn, resnet and textcnn, or dimension of transformer. Default: 64."""
    depth: Annotated[int, Field(ge=1, le=128)] = 2
    """Blocks or layers. Default: 2."""
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    """Attention heads of transformer; divides width. Default: 4."""
    embedding: Annotated[int | None, Field(ge=1, le=16384)] = None
    """Size of the embeddings of categories or tokens. Default: by the number of categories."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of activations dropped in training. Default: 0.1."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Activation function. Default: relu."""
    normalization: Literal["batch", "layer", "none"] = "batch"
    """Normalization between layers. Default: batch."""
    pretrained: FilePath | None = None
    """Folder of a pretrained encoder in the Hugging Face layout, weights in safetensors, relative to the YAML file."""
    freeze: bool = False
    """Train only the head of a pretrained encoder. Default: false."""

    rules = (
        Rule(
            message="`pretrained` (a folder) and `name: pretrained` belong together",
            broken=lambda self: unless((self.name == "pretrained") == (self.pretrained is not None), "pretrained"),
            cel="(has(self.name) && self.name == 'pretrained') == has(self.pretrained)",
            cure="give both `name: pretrained` and `pretrained: FOLDER`, or neither",
        ),
        Rule(
            message="heads divides width",
            broken=lambda self: unless(self.name != "transformer" or self.width % self.heads == 0, "heads"),
            cel=(
                "!has(self.name) || self.name != 'transformer'"
                " || (has(self.width) ? self.width : 64) % (has(self.heads) ? self.heads : 4) == 0"
            ),
            cure="for example width 64 with heads 4",
        ),
        Rule(
            message="`freeze` needs a pretrained model",
            broken=lambda self: unless(not self.freeze or self.name == "pretrained", "freeze"),
            cel="!has(self.freeze) || !self.freeze || (has(self.name) && self.name == 'pretrained')",
            cure="set `name: pretrained`, or remove `freeze`",
        ),
    )


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


class TrainResources(Compute):
    """Where training runs. Only processesPerNode matters on one machine."""

    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Nodes. Used in a cluster only. Default: 1."""
    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = 0
    """GPUs of each node. Used in a cluster only. Default: 0."""
    processes_per_node: Annotated[int, Field(ge=1, le=64)] = 1
    """Training processes on each node; with GPUs, one a GPU. Default: 1."""


class Toleration(Part):
    """A taint that the training pods tolerate."""

    key: LabelKey | None = None
    """Key of the taint; none with `operator: Exists` means every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Default: Equal."""
    value: LabelValue | None = None
    """Value of the taint, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. Default: every effect."""
    toleration_seconds: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    """How long NoExecute is tolerated. Default: for ever."""

    rules = (
        Rule(
            message="`value` belongs to `operator: Equal`",
            broken=lambda self: unless(self.operator == "Equal" or self.value is None, "value"),
            cel="!has(self.value) || !has(self.operator) || self.operator == 'Equal'",
            cure="remove `value`, or use `operator: Equal`",
        ),
        Rule(
            message="`operator: Equal` needs a key",
            broken=lambda self: unless(self.operator == "Exists" or self.key is not None, "key"),
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            cure="add `key`, or use `operator: Exists`",
        ),
    )


class Scheduling(Part):
    """Where in the cluster training runs, and when. Used in a cluster only."""

    queue: ObjectName | None = None
    """Kueue LocalQueue of the same namespace. Default: none."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(default={})
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32), Lax] = ()
    """Taints that the pods tolerate."""


class Retries(Part):
    """How often training starts again. Used in a cluster only."""

    failures: Annotated[int, Field(ge=0, le=100)] = 2
    """After failures of its own. Default: 2."""
    preemptions: Annotated[int, Field(ge=0, le=10_000)] = 10
    """After its pods were taken away. Default: 10."""


class Code(Part):
    """The user's own training code."""

    path: FilePath
    """Folder with the code, relative to the YAML file."""
    entrypoint: Text
    """Python module that is started, for example churn.train."""
    args: Annotated[tuple[Text, ...], Field(max_length=64), Lax] = ()
    """Its arguments, passed as they are."""


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
