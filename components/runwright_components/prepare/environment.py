"""What later stages know of an environment: the signature of a policy, and observations to compare and time it with."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

from runwright_components.contract.artifacts import (
    PREPROCESSING,
    QUALITY,
    RAW_TEST,
    Field,
    Lineage,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.environment import ENVIRONMENT, FILES, EnvironmentDocument
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.progress import Progress
from runwright_components.features.environment import (
    ACTION,
    OBSERVATION,
    EnvironmentPreprocessing,
    EnvironmentState,
)
from runwright_components.features.target import Target
from runwright_components.prepare import outputs
from runwright_components.prepare.describe import numbers
from runwright_components.prepare.quality import ColumnQuality, Quality, SplitQuality, Summary
from runwright_components.prepare.raw import RawData


def write(config: PrepareConfig, data: RawData, folder: Path, _progress: Progress) -> PreparedManifest:
    """Write the prepared data of an environment into `folder`. There is nothing to learn from before an agent acts, so
    that what was seen by chance is the test split alone."""
    environment = EnvironmentDocument.read(data.folder, ENVIRONMENT)
    rows = data.frame.collect()
    shutil.copyfile(data.folder / ENVIRONMENT, folder / ENVIRONMENT)
    shutil.copytree(data.folder / FILES, folder / FILES)
    rows.select("row_id", *environment.observation.names).write_parquet(folder / RAW_TEST)
    preprocessing = EnvironmentPreprocessing(
        EnvironmentState(
            signature=_signature(config, environment, rows),
            target=Target(name="", task=config.task),
            observation=environment.observation,
            actions=environment.actions,
        )
    )
    preprocessing.save(folder / PREPROCESSING)
    _quality(config, data, environment, rows).write(folder, QUALITY)
    manifest = PreparedManifest(
        digest=files_digest(folder_files(folder)),
        modality=config.modality,
        task=config.task,
        rows={"train": 0, "validation": 0, "test": len(rows)},
        signature=preprocessing.signature,
        lineage=Lineage(
            stage="prepare",
            config=config.digest(),
            inputs={"raw": data.manifest.digest},
            version=version("runwright"),
            parents=(data.manifest.lineage,),
        ),
    )
    manifest.write(folder)
    return manifest


def _signature(config: PrepareConfig, environment: EnvironmentDocument, rows: pl.DataFrame) -> Signature:
    names, actions = environment.observation.names, environment.actions
    example = rows.row(0, named=True)
    several = () if actions.kind == "choice" else (len(actions.low) or len(actions.sizes),)
    return Signature(
        task=config.task,
        modality=config.modality,
        inputs=tuple(Field(name=name, type="numeric", nullable=False, example=example[name]) for name in names),
        tensors=(
            Tensor(name=OBSERVATION, dtype="float32", shape=(None, len(names))),
            Tensor(name=ACTION, dtype="float32" if actions.kind == "numbers" else "int64", shape=(None, *several)),
        ),
        example={name: example[name] for name in names},
    )


def _quality(config: PrepareConfig, data: RawData, environment: EnvironmentDocument, rows: pl.DataFrame) -> Quality:
    returns = rows.group_by("episode").agg(pl.col("reward").sum(), pl.len())
    return Quality(
        modality=config.modality,
        task=config.task,
        target="",
        rows_in=data.rows,
        rows_out=data.rows,
        columns=tuple(_column(name, data, environment, rows) for name in data.columns),
        strategy="test alone: what was seen in episodes played by chance",
        splits=(SplitQuality(name="test", rows=data.rows, share=1.0),),
        measures=(
            outputs.measure("return", "return of an episode played by chance", returns["reward"].to_numpy()),
            outputs.measure("steps", "steps of an episode played by chance", returns["len"].to_numpy()),
        ),
    )


def _column(name: str, data: RawData, environment: EnvironmentDocument, rows: pl.DataFrame) -> ColumnQuality:
    is_input = name in environment.observation.names
    summary = numbers(rows[name].to_numpy().astype(np.float64)) if is_input else Summary(rows=data.rows)
    return ColumnQuality(
        name=name,
        source_type=data.manifest.columns[name],
        type="numeric" if is_input else "ignore",
        role="input" if is_input else "ignored",
        reason="" if is_input else "a policy sees observations alone",
        given=is_input,
        inputs=(OBSERVATION,) if is_input else (),
        before=summary,
        after=summary if is_input else None,
    )
