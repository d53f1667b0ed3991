"""`spec.train.task` and `spec.train.model`: what is learned, and by which architecture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.language import Lora
from runwright_api.spec.transfer import Unfreeze
from runwright_api.spec.trees import MODEL_RULES as TREE_RULES
from runwright_api.spec.trees import Trees
from runwright_api.spec.unsupervised import MODEL_RULES as UNSUPERVISED_RULES
from runwright_api.spec.unsupervised import Unsupervised
from runwright_api.text import FilePath

Task = Literal[
    "tabular-classification",
    "tabular-regression",
    "image-classification",
    "text-classification",
    "text-regression",
    "text-generation",
    "series-forecasting",
    "tabular-anomaly",
    "tabular-clustering",
    "tabular-embedding",
    "environment-control",
]
Modality = Literal["tabular", "image", "text", "series", "environment"]
TaskKind = Literal[
    "classification", "regression", "generation", "forecasting", "control", "anomaly", "clustering", "embedding",
]  # fmt: skip
ModelName = Literal[
    "mlp", "xgboost", "lightgbm", "cnn", "resnet", "vit", "textcnn", "transformer", "decoder", "pretrained",
    "nhits", "dlinear", "policy", "autoencoder", "isolationforest", "kmeans", "gaussianmixture",
]  # fmt: skip

MODELS: dict[Modality, tuple[ModelName, ...]] = {
    "tabular": ("mlp", "transformer", "xgboost", "lightgbm"),
    "image": ("cnn", "resnet", "vit", "pretrained"),
    "text": ("textcnn", "transformer", "pretrained"),
    "series": ("nhits", "dlinear"),
    "environment": ("policy",),
}
"""Built-in models of each modality, the default first."""

OWN_MODELS: dict[Task, tuple[ModelName, ...]] = {
    "text-generation": ("decoder", "pretrained"),
    "tabular-anomaly": ("autoencoder", "isolationforest"),
    "tabular-clustering": ("kmeans", "gaussianmixture"),
    "tabular-embedding": ("autoencoder",),
}
"""Built-in models of the tasks that do not take their modality's, the default first."""

_PER_MODALITY: dict[str, Modality] = {name: name for name in MODELS}


def modality(task: str) -> Modality | None:
    """What the inputs of a task are; None for a task that does not exist."""
    return _PER_MODALITY.get(task.partition("-")[0])


def models_of(task: str) -> tuple[ModelName, ...]:
    """Built-in models of a task, the default first; none for a task that does not exist."""
    own = next((names for name, names in OWN_MODELS.items() if name == task), None)
    found = modality(task)
    return own or (MODELS[found] if found else ())


class ModelSpec(Part):
    """The model. Sizes that a model does not have are ignored by it."""

    name: ModelName = "mlp"
    """tabular: mlp, transformer, xgboost, lightgbm; image: cnn, resnet, vit, pretrained; text: textcnn, transformer,
    pretrained; series: nhits, dlinear; tabular-anomaly: autoencoder, isolationforest; tabular-clustering: kmeans,
    gaussianmixture; tabular-embedding: autoencoder. Default: the first of these."""
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(max_length=32), Lax] = (128, 128)
    """Widths of the hidden layers of mlp and autoencoder, whose second half has them in reverse; none makes a linear
    model. Default: 128, 128."""
    width: Annotated[int, Field(ge=1, le=16384)] = 64
    """Channels of cnn, resnet and textcnn, or dimension of transformer and vit. Default: 64."""
    depth: Annotated[int, Field(ge=1, le=128)] = 2
    """Blocks or layers. Default: 2."""
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    """Attention heads of transformer and vit; divides width. Default: 4."""
    patch: Annotated[int, Field(ge=1, le=256)] = 4
    """Side of the patches of vit, in pixels; divides height and width of the images. Default: 4."""
    embedding: Annotated[int | None, Field(ge=1, le=16384)] = None
    """Size of the embeddings of categories or tokens. Default: by the number of categories."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of activations dropped in training. Default: 0.1; text-generation and
    autoencoder: 0."""
    activation: Literal["relu", "gelu", "silu"] = "relu"
    """Activation function. Default: relu."""
    normalization: Literal["batch", "layer", "none"] = "batch"
    """Normalization between layers. Default: batch."""
    pretrained: FilePath | None = None
    """Pretrained encoder, Hugging Face layout with safetensors: a folder, relative to the YAML file, or s3://BUCKET/PREFIX."""
    freeze: bool = False
    """Train only the head of a pretrained encoder. Default: false."""
    unfreeze: Unfreeze | None = None
    """With freeze: when the encoder begins to learn, too. Default: never."""
    key_value_heads: Annotated[int | None, Field(ge=1, le=256)] = None
    """decoder: heads of keys and values, shared by groups of queries; divides heads. Default: heads."""
    context: Annotated[int, Field(ge=8, le=1_048_576)] = 256
    """decoder and pretrained of text generation: tokens that the model sees at once. Default: 256."""
    lora: Lora | None = None
    """Fine-tune a pretrained model of text generation by low-rank adaptation. Default: all weights learn."""

    trees: Trees | None = None
    """xgboost and lightgbm: how many trees, of which size."""
    unsupervised: Unsupervised | None = None
    """Tasks without a target: sizes of their models."""

    rules = (
        *TREE_RULES,
        *UNSUPERVISED_RULES,
        Rule(
            message="`pretrained` (a folder) and `name: pretrained` belong together",
            broken=lambda self: unless((self.name == "pretrained") == (self.pretrained is not None), "pretrained"),
            cel="(has(self.name) && self.name == 'pretrained') == has(self.pretrained)",
            cure="give both `name: pretrained` and `pretrained: FOLDER`, or neither",
        ),
        Rule(
            message="heads divides width",
            broken=lambda self: unless(
                self.name not in ("transformer", "vit", "decoder") or self.width % self.heads == 0, "heads"
            ),
            cel=(
                "!has(self.name) || !(self.name in ['transformer', 'vit', 'decoder'])"
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
        Rule(
            message="keyValueHeads divides heads",
            broken=lambda self: unless(
                self.key_value_heads is None or self.heads % self.key_value_heads == 0, "keyValueHeads"
            ),
            cel="!has(self.keyValueHeads) || (has(self.heads) ? self.heads : 4) % self.keyValueHeads == 0",
            cure="for example heads 8 with keyValueHeads 2",
        ),
        Rule(
            message="`lora` needs a pretrained model",
            broken=lambda self: unless(self.lora is None or self.name == "pretrained", "lora"),
            cel="!has(self.lora) || (has(self.name) && self.name == 'pretrained')",
            cure="set `name: pretrained`, or remove `lora`",
        ),
        Rule(
            message="`unfreeze` ends a `freeze`",
            broken=lambda self: unless(self.unfreeze is None or self.freeze, "unfreeze"),
            cel="!has(self.unfreeze) || (has(self.freeze) && self.freeze)",
            cure="set `freeze: true`, or remove `unfreeze`",
        ),
    )
