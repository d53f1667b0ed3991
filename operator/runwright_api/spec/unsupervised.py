"""What is special about tasks without a target: `spec.train.model.unsupervised`, and the rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from runwright_api.part import Part, Path, Rule, given, unless

KINDS = ("anomaly", "clustering", "embedding")
"""Kinds that learn from the inputs alone; prepare.target is then a label to judge by, or not given."""

FITTED_MODELS = ("isolationforest", "kmeans", "gaussianmixture")
"""Models that are fitted at once, without epochs."""

OF_MODELS: dict[str, tuple[str, ...]] = {
    "dimension": ("autoencoder",),
    "contamination": ("autoencoder", "isolationforest"),
    "clusters": ("kmeans", "gaussianmixture"),
    "most_clusters": ("kmeans", "gaussianmixture"),
    "trees": ("isolationforest",),
    "rows": ("isolationforest",),
}
"""The models that each field of `Unsupervised` belongs to."""


class Unsupervised(Part):
    """Sizes of models that learn without a target."""

    dimension: Annotated[int, Field(ge=1, le=4096)] = 8
    """Numbers of an embedding, or of an autoencoder's narrowest layer. Default: 8."""
    contamination: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    """Share of rows that may lie above the threshold, which the validation split sets. Default: 0.05."""
    clusters: Annotated[int | None, Field(ge=2, le=1000)] = None
    """Number of clusters. Default: chosen, by the silhouette (kmeans) or the Bayesian information criterion."""
    most_clusters: Annotated[int, Field(ge=2, le=100)] = 10
    """Where it is chosen: from 2 to this number. Default: 10."""
    trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    """isolationforest: number of trees. Default: 100."""
    rows: Annotated[int, Field(ge=2, le=65_536)] = 256
    """isolationforest: rows that each tree sees. Default: 256."""


def learns_alone(task: str) -> bool:
    """Whether a task has no target to learn."""
    return task.partition("-")[2] in KINDS


def learns_alone_cel(task: str) -> str:
    return "(" + " || ".join(f"{task}.endsWith('-{kind}')" for kind in KINDS) + ")"


def _foreign_sizes(model: Any) -> list[Path]:
    if model.unsupervised is None:
        return []
    return [
        ("unsupervised", name)
        for field, models in OF_MODELS.items()
        if model.name not in models
        for name in given(model.unsupervised, (field,))
    ]


def _fields_of_models() -> str:
    return "; ".join(
        f"{Unsupervised.model_fields[field].alias} {', '.join(names)}" for field, names in OF_MODELS.items()
    )


def _foreign_sizes_cel() -> str:
    def fits(field: str, models: tuple[str, ...]) -> str:
        return f"(!has(self.unsupervised.{to_camel(field)}) || self.name in {list(models)})"

    # The default model is filled in by the task, which this part does not see: without a name all fits.
    fitting = " && ".join(fits(field, models) for field, models in OF_MODELS.items())
    return f"!has(self.unsupervised) || !has(self.name) || ({fitting})"


MODEL_RULES = (
    Rule(
        message=f"the fields of `unsupervised` have their models: {_fields_of_models()}",
        broken=_foreign_sizes,
        cel=_foreign_sizes_cel(),
        cure="remove it, or choose such a model",
    ),
)
"""Rules of ModelSpec."""

_NETWORK_TRAINING = (
    "epochs", "max_steps", "batch_size", "learning_rate", "optimizer", "weight_decay", "momentum", "schedule",
    "warmup_steps", "gradient_clip", "accumulate", "layer_decay", "ema", "precision", "early_stopping",
)  # fmt: skip
_FITTED_CEL = f"(has(self.model) && has(self.model.name) && self.model.name in {list(FITTED_MODELS)})"


TRAIN_RULES = (
    Rule(
        message="`unsupervised` has sizes of tasks without a target",
        broken=lambda self: unless(self.model.unsupervised is None or learns_alone(self.task), "model", "unsupervised"),
        cel=f"!has(self.model) || !has(self.model.unsupervised) || {learns_alone_cel('self.task')}",
        cure=f"remove it, or use one of {', '.join(f'tabular-{kind}' for kind in KINDS)}",
    ),
    Rule(
        message="train.code is for tasks with a target",
        broken=lambda self: unless(self.code is None or not learns_alone(self.task), "code"),
        cel=f"!has(self.code) || !{learns_alone_cel('self.task')}",
        cure="remove it; the built-in models of the task are listed in docs/models/unsupervised.md",
    ),
    Rule(
        message="isolationforest, kmeans and gaussianmixture are fitted at once, not by epochs and steps",
        broken=lambda self: [(name,) for name in given(self, _NETWORK_TRAINING) if self.model.name in FITTED_MODELS],
        cel=f"!{_FITTED_CEL} || (" + " && ".join(f"!has(self.{to_camel(name)})" for name in _NETWORK_TRAINING) + ")",
        cure="remove it",
    ),
    Rule(
        message="isolationforest, kmeans and gaussianmixture are fitted in one process on the CPU",
        broken=lambda self: [
            ("resources", to_camel(field))
            for field, least in (("nodes", 1), ("gpus_per_node", 0), ("processes_per_node", 1))
            if self.model.name in FITTED_MODELS and getattr(self.resources, field) > least
        ],
        cel=(
            f"!{_FITTED_CEL} || !has(self.resources) || ((!has(self.resources.nodes) || self.resources.nodes == 1)"
            " && (!has(self.resources.gpusPerNode) || self.resources.gpusPerNode == 0)"
            " && (!has(self.resources.processesPerNode) || self.resources.processesPerNode == 1))"
        ),
        cure="remove it",
    ),
)
"""Rules of TrainSpec."""
