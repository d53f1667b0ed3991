"""Preparing a table: plan the columns, read them once, choose the rows, fit on the training split, write the splits.

Memory is bounded by a few columns at a time: the raw rows stream into Arrow files of cleaned columns, statistics map
one of them after the other, and the splits stream out of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from runwright_components.contract.artifacts import PREPROCESSING, QUALITY, Lineage, PreparedManifest
from runwright_components.contract.config import SPLITS, PrepareConfig
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.engines import Engine, engine_for
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.values import holds_text
from runwright_components.prepare import infer, label_errors, labels, typos
from runwright_components.prepare.clean import Cleaned, clean
from runwright_components.prepare.describe import numbers
from runwright_components.prepare.fit_categorical import by_key, counts
from runwright_components.prepare.fit_table import FittedTable, fit
from runwright_components.prepare.infer import TOLERATED, Plan
from runwright_components.prepare.leakage import judge
from runwright_components.prepare.quality import Quality, SplitQuality
from runwright_components.prepare.raw import RawData
from runwright_components.prepare.relations import missing_patterns, relations, sampled_columns
from runwright_components.prepare.sampling import evidence, sample
from runwright_components.prepare.select import select
from runwright_components.prepare.write_table import write_splits


def write(config: PrepareConfig, data: RawData, folder: Path, progress: Progress) -> PreparedManifest:
    """Prepare the table `data` into `folder`."""
    with engine_for(config.engine) as engine:
        return write_on(engine, config, data, folder, progress)


def write_on(
    engine: Engine, config: PrepareConfig, data: RawData, folder: Path, progress: Progress
) -> PreparedManifest:
    """The same on this engine: the passes over all rows are its tasks, what is told of one column is the driver's."""
    total = len(data.columns) + 4
    done = 0

    def tick(message: str) -> None:
        nonlocal done
        done += 1
        progress.update(done, total, unit="steps", message=message)

    plans: Sequence[Plan] = infer.plan(sample(data), config, lambda column: evidence(data, column))
    tick("reading")
    plans, cleaned = read_columns(data, plans, config, folder, engine)
    tick("selecting rows")
    selection = select(data, cleaned, plans, config)
    if selection.memory is not None:
        selection.memory.write(folder)
        selection = replace(selection, memory=None)
    plans, findings = judge(cleaned, plans, selection, config)
    if config.categorical.typos == "merge":
        cleaned, plans, merged = typos.merge(cleaned, plans, selection)
        findings.extend(merged)
    tick("fitting")
    fitted = fit(data, cleaned, plans, selection, config, tick)
    for warning in (*fitted.selection.warnings, *fitted.warnings, *(finding.text for finding in findings)):
        progress.warning(warning)
    preprocessing = TabularPreprocessing(fitted.state, fitted.neighbours)
    write_splits(folder, data, cleaned, preprocessing, fitted.selection, fitted.gaps, fitted.out_of_fold)
    tick("writing")
    if config.label_errors == "warn" and config.task == "classification":
        suspects = label_errors.find(folder / "train.parquet", fitted.state.target.labels)
        findings.extend(suspects)
        for finding in suspects:
            progress.warning(finding.text)
    preprocessing.save(folder / PREPROCESSING)
    splits = _splits(cleaned, fitted, config)
    related = sampled_columns(plans, cleaned)
    quality = _quality(data, config, fitted, splits).model_copy(
        update={
            "missing_together": missing_patterns(related),
            "relations": relations(related),
            "findings": (*data.findings, *findings),
        }
    )
    quality.write(folder, QUALITY)
    cleaned.unlink()
    manifest = PreparedManifest(
        digest=files_digest(folder_files(folder)),
        modality="tabular",
        task=config.task,
        rows={split.name: split.rows for split in splits},
        signature=preprocessing.signature,
        categories=tuple(item.size for item in fitted.state.coded),
        class_counts=() if config.task in UNSUPERVISED else tuple(splits[0].classes.values()),
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


def read_columns(
    data: RawData, plans: Sequence[Plan], config: PrepareConfig, folder: Path, engine: Engine
) -> tuple[Sequence[Plan], Cleaned]:
    """Read the columns. One whose inferred type does not hold beyond the sample is read again, as categories."""
    cleaned = clean(data.source, plans, labels.words(config), folder, data.rows, engine)
    wrong = {plan.name: found for plan in plans if (found := _unreadable(plan, data, cleaned))}
    if not wrong:
        return plans, cleaned
    mended = [plan.as_categories(wrong[plan.name]) if plan.name in wrong else plan for plan in plans]
    return mended, clean(data.source, mended, labels.words(config), folder, data.rows, engine)


def _unreadable(plan: Plan, data: RawData, cleaned: Cleaned) -> str:
    """Why an inferred type does not hold; empty where it does. Raises StageError where the type was given."""
    if plan.reader is None or plan.spelled:
        return ""
    if plan.type == "numeric" and not holds_text(plan.dtype):
        return ""  # NaN and infinities are not a matter of type; they count as missing
    column = cleaned.column(plan.name)
    broken = column.is_nan() | column.is_infinite()
    count, present = int(broken.sum()), len(column) - column.null_count()
    if count <= TOLERATED * present:
        return ""
    rows = data.rows_at(broken.arg_true().head(50).to_list())
    samples = ", ".join(dict.fromkeys(repr(row[plan.name]) for row in rows[:5]))
    said = f"{count} of {present} values ({count / present:.0%}) cannot be read as {plan.type}, such as {samples}"
    if plan.role == "input" and not plan.given:
        return said
    raise StageError(
        Reason.DATA_INVALID,
        said,
        where=f"column {plan.name}",
        cure="give the dates' formats (dateFormats)"
        if plan.type == "datetime"
        else "choose another target or a classification task"
        if plan.role == "target"
        else "give the column type: categorical, or name the words that mean missing in prepare.missing.words",
    )


def _splits(cleaned: Cleaned, fitted: FittedTable, config: PrepareConfig) -> tuple[SplitQuality, ...]:
    selection, target = fitted.selection, fitted.state.target
    sizes = {name: int(selection.of(name).sum()) for name in SPLITS}
    shares = {name: size / sum(sizes.values()) for name, size in sizes.items()}
    if config.task == "regression":
        values = cleaned.numbers(target.name)
        return tuple(
            SplitQuality(name=name, rows=sizes[name], share=shares[name], target=numbers(values[selection.of(name)]))
            for name in SPLITS
        )
    if not target.name:
        return tuple(SplitQuality(name=name, rows=sizes[name], share=shares[name]) for name in SPLITS)
    spelled = cleaned.spellings[target.name]
    described = []
    for name, rows in zip(
        SPLITS, counts(cleaned.column(target.name), selection.codes, len(spelled.texts)), strict=False
    ):
        found = dict(by_key(spelled, rows).select("key", "rows").iter_rows())
        classes = {label: found.get(key, 0) for key, label in zip(target.keys, target.labels, strict=True)}
        described.append(SplitQuality(name=name, rows=sizes[name], share=shares[name], classes=classes))
    return tuple(described)


def _quality(data: RawData, config: PrepareConfig, fitted: FittedTable, splits: tuple[SplitQuality, ...]) -> Quality:
    return Quality(
        modality="tabular",
        task=config.task,
        target=config.target,
        rows_in=data.rows,
        rows_out=sum(split.rows for split in splits),
        columns=fitted.columns,
        duplicates=fitted.selection.duplicates,
        dropped=fitted.selection.dropped,
        strategy=config.split.strategy,
        splits=splits,
        kept=fitted.selection.kept_splits,
        warnings=(*fitted.selection.warnings, *fitted.warnings),
    )
