"""What the train stage is told."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.config.augment import AugmentConfig, EmaConfig, UnfreezeConfig
from runwright_components.contract.config.base import Config, Modality, TaskKind
from runwright_components.contract.config.code import CodeConfig
from runwright_components.contract.config.distributed import DistributedConfig
from runwright_components.contract.config.environment import ReinforcementConfig
from runwright_components.contract.config.language import LoraConfig
from runwright_components.contract.config.trees import TreesConfig
from runwright_components.contract.config.tune import TuneConfig
from runwright_components.contract.config.unsupervised import UnsupervisedConfig


class ModelConfig(Config):
    """Architecture; `name` fits the modality: mlp, transformer, xgboost, lightgbm (tabular); cnn, resnet, vit (image);
    textcnn, transformer (text); pretrained (image, text); nhits, dlinear (series)."""

    name: Literal[
        "mlp", "xgboost", "lightgbm", "cnn", "resnet", "vit", "textcnn", "transformer", "decoder", "pretrained", "code",
        "nhits", "dlinear", "policy", "autoencoder", "isolationforest", "kmeans", "gaussianmixture",
    ]  # fmt: skip
    hidden: tuple[int, ...] = (128, 128)  # mlp
    width: int = 64  # channels (cnn, resnet, textcnn) or model dimension (transformer, vit)
    depth: int = 2
    heads: int = 4
    patch: int = 4  # vit: side of a patch in pixels
    embedding: int | None = None  # None: by the number of categories
    dropout: float = 0.1
    activation: Literal["relu", "gelu", "silu"] = "relu"
    normalization: Literal["batch", "layer", "none"] = "batch"
    pretrained: str | None = None  # folder or s3:// prefix in the Hugging Face layout, weights in safetensors
    freeze: bool = False  # only the head learns
    unfreeze: UnfreezeConfig | None = None  # with freeze: when the encoder begins to learn, too
    key_value_heads: int | None = None  # decoder; None: as many as heads
    context: int = 256  # decoder, pretrained of generation: tokens seen at once
    lora: LoraConfig | None = None  # pretrained of generation
    trees: TreesConfig | None = None  # xgboost, lightgbm
    algorithm: str | None = None  # policy: by which it learned
    unsupervised: UnsupervisedConfig | None = None  # anomaly, clustering, embedding


class EarlyStopping(Config):
    patience: int = 10  # epochs without improvement of the validation loss
    min_delta: float = 0.0


class TrainConfig(Config):
    task: TaskKind
    modality: Modality
    model: ModelConfig
    code: CodeConfig | None = None  # with the model `code`
    reinforcement: ReinforcementConfig | None = None  # with the model `policy`
    epochs: int = 50
    max_steps: int | None = None
    batch_size: int = 64  # per process
    learning_rate: float = 1e-3
    layer_decay: float = 1.0  # of the learning rate, from one layer of a pretrained encoder to the one below
    optimizer: Literal["adamw", "adam", "sgd", "adafactor"] = "adamw"
    weight_decay: float = 0.01
    momentum: float = 0.9  # sgd
    schedule: Literal["constant", "cosine", "onecycle", "linear", "wsd", "inverse"] = "cosine"
    warmup_steps: int = 0
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    gradient_clip: float | None = 1.0
    accumulate: int = 1
    early_stopping: EarlyStopping | None = EarlyStopping()
    augment: AugmentConfig = AugmentConfig()
    ema: EmaConfig | None = None
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp8"] = "auto"
    processes: int = 1  # on this machine
    distributed: DistributedConfig = DistributedConfig()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every_steps: int | None = None  # None: every epoch
    checkpoint_every_minutes: float | None = 10.0  # besides: so that no more work than that is lost
    checkpoint_keep: int = 2
    checkpoint_keep_every: int | None = None  # the first in each span of so many steps stays for good
    collective_timeout: float = 600.0  # seconds that ranks may wait for each other
    max_restarts: int = 0  # of torchrun's elastic agent
    tune: TuneConfig | None = None  # None: this one training
    nested: bool = False  # whether each model of a cross-validation is searched for, too
    base: str = "."  # folder that `model.pretrained` is relative to

    def continued(self) -> TrainConfig:
        """What a training must have in common with a checkpoint to continue from it: this, without what may differ."""
        return self.model_copy(update={name: TrainConfig.model_fields[name].get_default() for name in _MAY_DIFFER})


# A training goes on with other processes, which share the same steps out anew, and saves as it is told now.
_MAY_DIFFER = (
    "base",
    "processes",
    "distributed",
    "max_restarts",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "checkpoint_keep",
    "checkpoint_keep_every",
    "collective_timeout",
)
