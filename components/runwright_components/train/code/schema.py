"""`schema.json`: what the prepared splits hold, and what the exported graph must take and give."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from runwright_components.contract.artifacts import PREPROCESSING, STATE, TARGET, Document, PreparedManifest, Tensor
from runwright_components.contract.config import Modality, SplitName, TaskKind
from runwright_components.features.split_io import CATEGORICAL, NUMERIC

SCHEMA = "schema.json"
GIVEN_SPLITS: tuple[SplitName, ...] = ("train", "validation")
"""The test split is not among them: it judges the model."""

_OF_COLUMNS = {"numeric": NUMERIC, "categorical": CATEGORICAL}


class Input(Document):
    """One input tensor of the graph, [N, ...]; `columns` of the Parquet files make it up, in this order."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    columns: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()  # categorical: codes of each column are below its size


class Schema(Document):
    """`target` is the column to learn: int32 classes, or float32 values, standardized as `output` must be."""

    task: TaskKind
    modality: Modality
    target: str
    inputs: tuple[Input, ...]
    output: Tensor
    labels: tuple[str, ...]
    rows: dict[str, int]
    vocabulary: int | None = None  # text: tokens are below it
    max_tokens: int | None = None  # text: the longest row
    pad: int | None = None  # text: the token that fills shorter rows, where the mask is 0


def output_of(manifest: PreparedManifest) -> Tensor:
    """What the graph must give: `logits` [N, K], or `value` [N]."""
    if manifest.task == "classification":
        return Tensor(name="logits", dtype="float32", shape=(None, len(manifest.signature.labels)))
    return Tensor(name="value", dtype="float32", shape=(None,))


def schema_of(prepared: Path) -> Schema:
    """The schema of prepared data. Raises StageError when the folder is not whole."""
    manifest = PreparedManifest.read(prepared)
    text = json.loads((prepared / PREPROCESSING / STATE).read_bytes()).get("text", {})
    columns = pl.scan_parquet(prepared / "train.parquet").collect_schema().names()

    def described(tensor: Tensor) -> Input:
        prefix = _OF_COLUMNS.get(tensor.name)
        made_of = tuple(name for name in columns if name.startswith(prefix)) if prefix else _single(tensor.name)
        sizes = manifest.categories if tensor.name == "categorical" else ()
        return Input(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, columns=made_of, sizes=sizes)

    return Schema(
        task=manifest.task,
        modality=manifest.modality,
        target=TARGET,
        inputs=tuple(described(tensor) for tensor in manifest.signature.tensors),
        output=output_of(manifest),
        labels=manifest.signature.labels,
        rows={split: manifest.rows[split] for split in GIVEN_SPLITS},
        vocabulary=manifest.vocabulary,
        max_tokens=text.get("max_tokens"),
        pad=text.get("pad"),
    )


def _single(tensor: str) -> tuple[str, ...]:
    """The column behind a tensor of text or images; a mask stands in no column, for it follows from the ids."""
    return () if tensor == "attention_mask" else (tensor,)
