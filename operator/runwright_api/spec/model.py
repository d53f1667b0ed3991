"""`spec.train.task` and `spec.train.model`: what is learned, and by which architecture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.text import FilePath

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
