"""The prepare stage: raw rows become clean, encoded splits, a fitted preprocessing, and a report of quality."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from runwright_components.contract.artifacts import QUALITY, QUARANTINE, PreparedManifest
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.files import new_folder
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.contract.progress import Progress
from runwright_components.prepare.folds import Fold, write_folds
from runwright_components.prepare.labels import require_target
from runwright_components.prepare.memory import FILE, Memory
from runwright_components.prepare.pii import forget, guard
from runwright_components.prepare.raw import open_raw

__all__ = ["left_for_the_next", "prepare"]


def prepare(
    config: PrepareConfig, *, raw: Path, out: Path, progress: Progress, former: Path | None = None
) -> PreparedManifest:
    """Prepare the raw data in `raw` as the new folder `out`, which appears only when everything is in it.

    `former` is what the revision before prepared, whose rows keep their splits.

    Raises StageError for data and settings that a person can mend.
    """
    data = replace(open_raw(raw), memory=Memory.read(former))
    # What learns from the inputs alone may do without.
    if config.task not in ("generation", "control") and not (config.task in UNSUPERVISED and not config.target):
        require_target(data.columns, config)
    # Each modality's module has write(config, data, folder, progress) -> PreparedManifest, which also writes it.
    name = "corpus" if config.task == "generation" else config.modality
    modality = import_module(f"runwright_components.prepare.{name}")
    with (
        new_folder(out) as folder,
        tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.scratch.") as scratch,
    ):
        raw_data, (data, left_out) = data, guard(config, data, Path(scratch), folder)
        verdicts = None
        if config.expectations:
            from runwright_components.prepare.expectations import meet

            data, verdicts = meet(config, raw_data, folder, progress, shown=data)
        for finding in data.findings:
            progress.warning(finding.text)
        config, data = forget(config, left_out), data.without(left_out)
        if config.windows is not None:
            from runwright_components.prepare.windows import look_back

            data = look_back(config, config.windows, data, Path(scratch), folder)
        manifest: PreparedManifest = modality.write(config, data, folder, progress)
        if verdicts is not None and verdicts.quarantined:
            manifest = manifest.model_copy(update={"quarantine": QUARANTINE, "quarantined": verdicts.aside})
            manifest.write(folder)
        if config.split.folds:
            rows = data

            def write(fold: Fold, plain: PrepareConfig, place: Path, told: Progress) -> PreparedManifest:
                made: PreparedManifest = modality.write(plain, replace(rows, fold=fold), place, told)
                return made

            manifest = write_folds(config, folder, manifest, write, progress)
    progress.emit("done", f"{sum(manifest.rows.values())} of {data.rows} rows prepared")
    return manifest


def left_for_the_next(prepared: Path) -> dict[str, Path]:
    """The files of prepared data that the next revision compares itself with, and keeps its splits by."""
    return {name: path for name in (QUALITY, FILE) if (path := prepared / name).is_file()}
