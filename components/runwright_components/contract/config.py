"""What each stage is told: frozen, strict, with every default resolved.

The pipeline lowers a TrainingRun into these models and passes them as JSON. They are versioned with the
component images, apart from the TrainingRun API, so that an API version can change while images do not.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Modality = Literal["tabular", "text", "image"]
TaskKind = Literal["classification", "regression"]
ColumnType = Literal["numeric", "categorical", "boolean", "datetime", "text", "image", "ignore"]
Format = Literal["csv", "json", "jsonl", "parquet", "images", "text"]
SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Config(BaseModel):
    """Base of every stage configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> str:
        """The one JSON text of this configuration: sorted keys, no white space."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def digest(self) -> str:
        """SHA-256 of `canonical()`, as `sha256:HEX`."""
        return "sha256:" + hashlib.sha256(self.canonical().encode()).hexdigest()


# ---------------------------------------------------------------- collect


class CsvOptions(Config):
    delimiter: str | None = None  # None: detected among , ; tab |
    quote: str = '"'
    header: bool = True
    encoding: str = "utf-8"


class Source(Config):
    """One place to read from. `uri` is a path (relative to `CollectConfig.base`), `file://`, `http(s)://` or `s3://`.

    A path may hold glob characters or name a folder. For `images` and `text` the folder's class folders are the labels.
    Credentials are never here: they come from the environment (AWS_*), which a Secret fills in a cluster.
    """

    name: str
    uri: str
    format: Format | None = None  # None: by the file's extension
    csv: CsvOptions = CsvOptions()
    endpoint: str | None = None  # S3-compatible servers
    region: str | None = None
    headers_env: dict[str, str] = {}  # HTTP header -> environment variable that holds its value
    timeout_seconds: float = 30.0


class CollectConfig(Config):
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    base: str = "."  # folder that relative paths start from
    max_rows: int | None = None


# ---------------------------------------------------------------- prepare


class Column(Config):
    """What the user says of one column; None leaves it to inference."""

    name: str
    type: ColumnType | None = None
    date_formats: tuple[str, ...] = ()  # strptime formats, tried in order
    missing: Literal["median", "mean", "mode", "constant", "drop"] | None = None
    fill: JsonValue = None  # with missing: constant
    outliers: Literal["none", "clip", "drop", "missing"] | None = None


class MissingRules(Config):
    numeric: Literal["median", "mean", "constant", "drop"] = "median"
    categorical: Literal["category", "mode", "constant", "drop"] = (
        "category"  # category: missing is a category of its own
    )
    indicator: bool = True  # adds a 0/1 column for each numeric column that had missing values in the training split
    words: tuple[str, ...] = ("", "na", "n/a", "nan", "null", "none", "missing", "unknown", "?", "-", ".")
    fill_numeric: float = 0.0
    fill_categorical: str = "missing"


class OutlierRules(Config):
    rule: Literal["none", "iqr", "zscore"] = "none"
    factor: float = 3.0  # IQR multiples beyond the quartiles, or standard deviations
    action: Literal["clip", "drop", "missing"] = "clip"


class FormatRules(Config):
    decimal: Literal["auto", "point", "comma"] = "auto"
    dates: tuple[str, ...] = ()  # extra strptime formats, tried before the built-in ones
    fold_case: bool = True  # categories that differ only in case or white space are one
    numbers: bool = True  # read "1,234", "$5", "12 %", "3.5 kg" as numbers when a column has one such notation


class NumericRules(Config):
    scale: Literal["standard", "minmax", "robust", "none"] = "standard"


class CategoricalRules(Config):
    encode: Literal["index", "onehot"] = "index"  # index: codes for an embedding; 0 is reserved for unseen or rare
    min_count: int = 1  # rarer categories of the training split are encoded like unseen ones
    max_categories: int = 1000


class TextRules(Config):
    column: str = "text"
    max_tokens: int = 256
    vocabulary: int = 8000  # BPE trained on the training split; ignored for a pretrained encoder
    lowercase: bool = True


class ImageRules(Config):
    column: str = "image"
    height: int = 32
    width: int = 32
    channels: Literal[1, 3] = 3


class SplitRules(Config):
    strategy: Literal["random", "stratified", "group", "time"] = "random"
    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15
    by: str | None = None  # the group or time column
    seed: int = 0


class PrepareConfig(Config):
    modality: Modality
    task: TaskKind
    target: str
    columns: tuple[Column, ...] = ()
    missing: MissingRules = MissingRules()
    duplicates: Literal["drop", "keep"] = "drop"
    outliers: OutlierRules = OutlierRules()
    formats: FormatRules = FormatRules()
    numeric: NumericRules = NumericRules()
    categorical: CategoricalRules = CategoricalRules()
    text: TextRules = TextRules()
    image: ImageRules = ImageRules()
    split: SplitRules = SplitRules()
    pretrained: str | None = None  # folder of a Hugging Face encoder: its tokenizer is used
    base: str = "."  # folder that `pretrained` is relative to


# ---------------------------------------------------------------- train


class ModelConfig(Config):
    """Architecture; `name` fits the modality: mlp (tabular), cnn, resnet (image), textcnn, transformer, pretrained."""

    name: Literal["mlp", "cnn", "resnet", "textcnn", "transformer", "pretrained"]
    hidden: tuple[int, ...] = (128, 128)  # mlp
    width: int = 64  # channels (cnn, resnet, textcnn) or model dimension (transformer)
    depth: int = 2
    heads: int = 4
    embedding: int | None = None  # None: by the number of categories
    dropout: float = 0.1
    activation: Literal["relu", "gelu", "silu"] = "relu"
    normalization: Literal["batch", "layer", "none"] = "batch"
    pretrained: str | None = None  # folder in the Hugging Face layout, weights in safetensors
    freeze: bool = False  # only the head learns


class EarlyStopping(Config):
    patience: int = 10  # epochs without improvement of the validation loss
    min_delta: float = 0.0


class TrainConfig(Config):
    task: TaskKind
    modality: Modality
    model: ModelConfig
    epochs: int = 50
    max_steps: int | None = None
    batch_size: int = 64  # per process
    learning_rate: float = 1e-3
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: float = 0.01
    momentum: float = 0.9  # sgd
    schedule: Literal["constant", "cosine", "onecycle", "linear"] = "cosine"
    warmup_steps: int = 0
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    gradient_clip: float | None = 1.0
    accumulate: int = 1
    early_stopping: EarlyStopping | None = EarlyStopping()
    augment: bool = False  # images: random crop and, where it keeps the label, flip
    augment_flip: bool = False
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    processes: int = 1  # on this machine
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every_steps: int | None = None  # None: every epoch
    checkpoint_keep: int = 2
    max_restarts: int = 0  # of torchrun's elastic agent
    base: str = "."  # folder that `model.pretrained` is relative to


# ---------------------------------------------------------------- evaluate, package, register, deploy


class Bound(Config):
    """One absolute bound of the gate: `min <= metric <= max`."""

    metric: str
    min: float | None = None
    max: float | None = None
    slice: str | None = None  # `column=value`: the bound holds on that slice


class EvaluateConfig(Config):
    task: TaskKind
    slices: tuple[str, ...] = ()  # columns
    gate: tuple[Bound, ...] = ()
    latency_requests: int = 200
    throughput_batch: int = 64
    calibration_bins: int = 10
    run_name: str = "run"


class PackageConfig(Config):
    name: str
    formats: tuple[Literal["safetensors", "onnx"], ...] = ("safetensors", "onnx")
    parity_tolerance: float = 1e-4  # largest absolute difference of outputs, torch against ONNX Runtime
    description: str = ""
    license: str = ""


class RegisterConfig(Config):
    name: str
    uri: str  # folder or s3:// prefix of the registry; versions are NAME/N under it
    endpoint: str | None = None
    region: str | None = None


class DeployConfig(Config):
    name: str
    mode: Literal["none", "local", "Standard", "Knative"] = "local"


def parse(model: type[Config], text: str) -> Any:
    """Read a stage's configuration from its JSON text.

    Raises `StageError` (reason InvalidConfig) that names the field.
    """
    from pydantic import ValidationError

    from runwright_components.contract.outcome import Reason, StageError

    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{model.__name__}.{where}: {first['msg']}",
            cure="the pipeline and the component image are of different versions; compile again with this version",
        ) from error
