"""The folders that stages hand to each other: their file names and manifests.

raw data       manifest.json (RawManifest), data.parquet or data/*.parquet - a row an example, in the source's form
prepared data  manifest.json (PreparedManifest), {train,validation,test}.parquet - model inputs and `target`;
               test.raw.parquet - the test rows as they came from the source; preprocessing/ - the fitted state;
               quality.json (see `runwright_components.prepare.quality`); of a generation corpus.json and the splits'
               tokens (see `runwright_components.features.corpus`) in place of the splits' Parquet files;
               folds/N/ - with a cross-validation the same again of each fold
model          manifest.json (ModelManifest), weights.safetensors (trees: booster.*), model.onnx, history.json,
               preprocessing/, folds.json with a cross-validation
evaluation     evaluation.json (Evaluation), predictions.parquet - a row a test row: row_id, truth, prediction and, for
               a classification, probabilities; of what learns without a target what it answers,
               by name; of a generation row_id and figures of the document
package        manifest.json (PackageManifest) and the files that it lists, a folder that KServe can mount
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from runwright_components.contract.config import Modality, ModelConfig, SplitName, TaskKind
from runwright_components.contract.outcome import Reason, StageError

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
BOOSTER = "booster."  # begins the name of the file that holds boosted trees, in place of WEIGHTS
ONNX = "model.onnx"
HISTORY = "history.json"
COST = "cost.json"  # beside a training's checkpoints: what it has cost so far
OUTPUTS = "outputs.npy"  # in a model: what the user's own model gives for the first rows of the validation split
PREPROCESSING = "preprocessing"
STATE = "state.json"  # in PREPROCESSING
TOKENIZER = "tokenizer.json"  # in PREPROCESSING, text only
QUALITY = "quality.json"
QUARANTINE = "quarantine.parquet"  # in prepared data: rows that broke an expectation, with the reason
SIGNATURE = "signature.json"
METRICS = "metrics.json"
LINEAGE = "lineage.json"
MODEL_CARD = "MODEL_CARD.md"
EXAMPLE = "example.json"
RAW_TEST = "test.raw.parquet"
TARGET = "target"  # column of the prepared splits
ROW_ID = "row_id"  # column of the prepared splits and of RAW_TEST: number of the row in the raw data


class Document(BaseModel):
    """Base of every JSON document that lies in an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, folder: Path, name: str = MANIFEST) -> Self:
        """Read the document from `folder/name`; raises StageError when it is missing or not of this shape."""
        path = folder / name
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise StageError(
                Reason.DATA_UNREADABLE,
                f"{name} is missing",
                where=str(folder),
                cure="the folder is incomplete; run the stage that makes it again",
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise StageError(
                Reason.DATA_UNREADABLE,
                f"{name} is not a {cls.__name__}: {place}: {first['msg']}",
                where=str(folder),
                cure="the folder was altered or made by another version; run the stage that makes it again",
            ) from error

    def write(self, folder: Path, name: str = MANIFEST) -> Path:
        """Write to `folder/name` by way of a temporary name. The bytes depend on the content alone."""
        from runwright_components.contract.files import write_json

        return write_json(folder / name, self.model_dump(mode="json"))


class Lineage(Document):
    """Where an artifact comes from: the stage, its configuration's digest, and the digests of what it read."""

    stage: str
    config: str
    inputs: dict[str, str] = {}
    version: str = ""  # of runwright
    parents: tuple[Lineage, ...] = ()


class SourceRecord(Document):
    """What one source gave."""

    name: str
    uri: str
    format: str
    files: int
    bytes: int
    rows: int
    digest: str  # SHA-256 over the files' names and contents, in sorted order


class RawManifest(Document):
    digest: str  # over all sources
    rows: int
    columns: dict[str, str]  # name -> Polars type name
    sources: tuple[SourceRecord, ...]
    files: tuple[str, ...]  # the Parquet files, relative
    references: dict[str, str] = {}  # source that expectations look into -> Parquet file with its columns, relative
    lineage: Lineage


class Field(Document):
    """One input column of the served model, in the source's form.

    `type` numeric takes a JSON number (or, when `text` is true because the source holds text, a string that reads as
    one); categorical and datetime take strings; boolean takes true/false or a word; image takes base64 of PNG or JPEG;
    numbers takes a list of numbers, in which null is a gap.
    """

    name: str
    type: Literal["numeric", "categorical", "boolean", "datetime", "text", "image", "numbers"]
    text: bool = False
    nullable: bool = True
    categories: tuple[str, ...] = ()
    example: JsonValue = None


class Tensor(Document):
    """One input or output of the ONNX graph; the first dimension is the batch and is None."""

    name: str
    dtype: Literal["float32", "int64", "uint8"]
    shape: tuple[int | None, ...]


class Signature(Document):
    """What goes into a served model and what comes out."""

    task: TaskKind
    modality: Modality
    inputs: tuple[Field, ...]
    ignored: tuple[str, ...] = ()  # columns of the source that are accepted and not used (target, identifiers)
    labels: tuple[str, ...] = ()  # classification: order of the probabilities
    target: str = ""
    tensors: tuple[Tensor, ...]
    example: dict[str, JsonValue] = {}  # one row that can be sent as it is


class PreparedManifest(Document):
    digest: str
    modality: Modality
    task: TaskKind
    rows: dict[SplitName, int]
    signature: Signature
    categories: tuple[int, ...] = ()  # tabular: size of each categorical input's code range, 0 included
    vocabulary: int | None = None  # text
    class_counts: tuple[int, ...] = ()  # of the training split, in the order of signature.labels
    quarantine: str = ""  # the file of the rows that broke an expectation; empty where there are none
    quarantined: dict[str, int] = {}  # by expectation; a row may break several
    folds: int = 0  # of a cross-validation: `fold_folder` has the prepared data of each
    lineage: Lineage


def fold_folder(prepared: Path, number: int) -> Path:
    """The prepared data of a fold, from 0, whose test is the part of the rows that the fold is judged by."""
    return prepared / "folds" / str(number)


class Epoch(Document):
    """One point of the learning curves."""

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    validation_metric: float  # accuracy, or R2
    learning_rate: float
    seconds: float
    samples_per_second: float


class History(Document):
    epochs: tuple[Epoch, ...]
    best_epoch: int
    stopped: Literal["epochs", "steps", "early"]
    resumed_from_step: int = 0
    returns: tuple[tuple[int, float], ...] = ()  # agents: steps, and the mean return of the latest episodes then
    importance: dict[str, float] = {}  # trees: share of each input in what all splits gained


class Cost(Document):
    """What a training took, its restarts included.

    Throughput and utilization are over the time of steps; validation and checkpoints are in `seconds` alone. `mfu` is
    the share of the GPUs' peak that the model's own operations took (Chowdhery et al. 2022); activations that were
    computed again do not count.
    """

    seconds: float  # that its processes were there
    gpu_seconds: float  # that, times the GPUs
    cpu_seconds: float  # of all processes
    processes: int
    restarts: int = 0
    samples: int
    samples_per_second: float
    tokens: int = 0  # texts, padding within a batch included
    tokens_per_second: float = 0.0
    flops: float | None = None  # of the model in all steps; None where they could not be counted
    mfu: float | None = None  # None without a GPU whose peak is known
    peak_gpu_bytes: int | None = None  # of the process that took most
    peak_host_bytes: int  # likewise
    energy_joules: float | None = None  # of the GPUs, where they tell


class ModelManifest(Document):
    digest: str  # over weights, ONNX and preprocessing: names the model everywhere
    model: ModelConfig
    task: TaskKind
    modality: Modality
    parameters: int
    classes: int  # outputs: number of classes, or 1
    categories: tuple[int, ...] = ()
    vocabulary: int | None = None
    steps: int
    best_epoch: int
    precision: str
    device: str
    world_size: int
    seconds: float
    cost: Cost | None = None
    files: dict[str, str]  # relative path -> sha256:HEX
    signature: Signature
    lineage: Lineage


def model_digest(files: Mapping[str, str]) -> str:
    """The digest that names a model: over weights, ONNX and preprocessing, so that the times in its history do not
    count.

    `files` are those of a ModelManifest.
    """
    from runwright_components.contract.files import files_digest

    decisive = (WEIGHTS, BOOSTER, ONNX, f"{PREPROCESSING}/")
    return files_digest({name: digest for name, digest in files.items() if name.startswith(decisive)})


class PackageManifest(Document):
    """The package's table of contents; `digest` is over `files` and names the package."""

    format: Literal["runwright.package/v1"] = "runwright.package/v1"
    digest: str
    name: str
    model_digest: str
    task: TaskKind
    modality: Modality
    files: dict[str, str]
    parity: float | None = None  # largest absolute output difference, torch against ONNX Runtime


class Registration(Document):
    name: str
    version: int
    uri: str
    digest: str  # the package's
    created: bool  # false: the same content was there already


class Deployment(Document):
    name: str
    mode: str
    uri: str
    model_digest: str
    url: str = ""
    extra: dict[str, Any] = {}
