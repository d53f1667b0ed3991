"""What the folders of prepared texts and images have in common: raw test rows, quality, preprocessing and manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from runwright_components.contract.artifacts import (
    PREPROCESSING,
    QUALITY,
    RAW_TEST,
    ROW_ID,
    TARGET,
    Field,
    Lineage,
    PreparedManifest,
    Signature,
    Tensor,
)
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.features.preprocessing import Preprocessing
from runwright_components.prepare.describe import categories, numbers
from runwright_components.prepare.labelled import Selection
from runwright_components.prepare.quality import ColumnQuality, Measure, Quality, Repair, Summary
from runwright_components.prepare.raw import RawData

ROW_GROUP = 65_536  # rows; fixed, so that the files' bytes do not depend on the machine


def signature(
    config: PrepareConfig, data: RawData, field: Field, labels: tuple[str, ...], tensors: tuple[Tensor, ...]
) -> Signature:
    """The signature of a model with the one input `field`, whose example is the sendable row."""
    return Signature(
        task=config.task,
        modality=config.modality,
        inputs=(field,),
        ignored=(*(name for name in data.columns if name != field.name), *data.unread),
        labels=labels,
        target=config.target,
        tensors=tensors,
        example={field.name: field.example},
    )


def quality(
    config: PrepareConfig,
    data: RawData,
    selection: Selection,
    *,
    content: ColumnQuality,
    measures: Sequence[Measure],
    warnings: Sequence[str],
) -> Quality:
    """The report's document; `content` describes the column of texts or images."""
    others = [name for name in data.columns if name not in (content.name, config.target)]
    raw_target = data.kept.select(config.target).collect().to_series()
    missing = data.frame.select(pl.col(others).null_count()).collect() if others else pl.DataFrame()
    columns = {content.name: content, config.target: _target_column(config, selection, raw_target)}
    for name in others:
        role = name == config.split.by
        columns[name] = ColumnQuality(
            name=name,
            source_type=data.manifest.columns[name],
            type="ignore",
            role=("time" if config.split.strategy == "time" else "group") if role else "ignored",
            reason="the split is made by it" if role else f"a {config.modality} model reads {content.name} alone",
            before=Summary(rows=data.rows, missing=missing[name][0]),
        )
    return Quality(
        modality=config.modality,
        task=config.task,
        target=config.target,
        rows_in=data.rows,
        rows_out=len(selection.rows),
        columns=tuple(columns[name] for name in data.columns),
        duplicates=selection.duplicates,
        dropped=selection.dropped,
        strategy=config.split.strategy,
        splits=selection.splits,
        kept=selection.kept,
        measures=tuple(measures),
        findings=data.findings,
        warnings=(*selection.warnings, *warnings),
    )


def repairs(before: pl.Series, after: pl.Series, note: str) -> tuple[Repair, ...]:
    """The repair of a text column, with samples, if there was something to mend."""
    changed = pl.DataFrame({"before": before, "after": after}).filter(pl.col("before") != pl.col("after"))
    if changed.is_empty():
        return ()
    samples = changed.unique(maintain_order=True).head(5).select(pl.all().str.slice(0, 80))
    return (Repair(kind="text", rows=len(changed), note=note, samples=tuple(samples.iter_rows())),)


def measure(name: str, label: str, values: ArrayLike) -> Measure:
    """A derived quantity of each row."""
    return Measure(name=name, label=label, summary=numbers(np.asarray(values, dtype=np.float64)))


def finish(
    config: PrepareConfig,
    data: RawData,
    selection: Selection,
    preprocessing: Preprocessing,
    report: Quality,
    folder: Path,
    *,
    vocabulary: int | None = None,
    inputs: Mapping[str, str] | None = None,
) -> PreparedManifest:
    """Write all but the splits into `folder`; the manifest last, whose digest covers the other files.

    `inputs` are digests of what was read besides the raw data.
    """
    test = selection.of("test")[ROW_ID]
    data.frame.filter(pl.col(ROW_ID).is_in(test.implode())).sink_parquet(
        folder / RAW_TEST, row_group_size=ROW_GROUP, maintain_order=True
    )
    preprocessing.save(folder / PREPROCESSING)
    report.write(folder, QUALITY)
    if selection.memory is not None:
        selection.memory.write(folder)
    manifest = PreparedManifest(
        digest=files_digest(folder_files(folder)),
        modality=config.modality,
        task=config.task,
        rows=selection.counts,
        signature=preprocessing.signature,
        vocabulary=vocabulary,
        class_counts=selection.class_counts,
        lineage=Lineage(
            stage="prepare",
            config=config.digest(),
            inputs={"raw": data.manifest.digest, **(inputs or {})},
            version=version("runwright"),
            parents=(data.manifest.lineage,),
        ),
    )
    manifest.write(folder)
    return manifest


def _target_column(config: PrepareConfig, selection: Selection, raw: pl.Series) -> ColumnQuality:
    if config.task == "regression":
        present = raw.cast(pl.Float64, strict=False)
        before = numbers(present.fill_null(float("nan")).to_numpy())
        return ColumnQuality(
            name=config.target, source_type=str(raw.dtype), type="numeric", role="target", before=before
        )
    shown = selection.rows[TARGET].replace_strict(dict(enumerate(selection.target.labels)), return_dtype=pl.String)
    return ColumnQuality(
        name=config.target,
        source_type=str(raw.dtype),
        type="categorical",
        role="target",
        before=_words(raw.cast(pl.String)),
        after=_words(shown),
    )


def _words(values: pl.Series) -> Summary:
    present = values.drop_nulls().rename("value")
    return categories(present.value_counts(name="rows"), values.null_count())
