"""The program of a job that prepares data (`python -m runwright_components.cluster.preparing`): the driver of a
SparkApplication, or what a Ray cluster's head runs.

It brings the raw data from storage to the volume that the job's pods share, prepares them as on one machine, by the
engine that the configuration names, and puts the prepared data into storage. The engine finds its cluster by what Spark
and Ray put into the environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from runwright_components.cluster.manifests.data_job import OUT_ENV, PREPARE_ENV
from runwright_components.cluster.manifests.data_pod import SHARED
from runwright_components.cluster.mirror import ProgressMirror
from runwright_components.cluster.storage import FORMER, RAW, fetch_folder, index_of, place, store_folder
from runwright_components.cluster.worker import leaving_words
from runwright_components.contract.cluster import CLUSTER_ENV, ClusterRun
from runwright_components.contract.config import PrepareConfig, parse
from runwright_components.contract.files import disk_errors
from runwright_components.contract.progress import Progress


def main() -> int:
    """Prepare as the environment says. Returns the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    return leaving_words(_work_as_told)


def _work_as_told() -> None:
    run: ClusterRun = parse(ClusterRun, os.environ.get(CLUSTER_ENV, ""))
    config: PrepareConfig = parse(PrepareConfig, os.environ.get(PREPARE_ENV, ""))
    with _folder(run, Path(SHARED)) as folder:
        work(run, config, out_uri=os.environ.get(OUT_ENV, ""), folder=folder)


@contextmanager
def _folder(run: ClusterRun, shared: Path) -> Iterator[Path]:
    """A new folder for this job on the volume that its pods share; what a driver left that was killed goes."""
    folder = shared / f"{run.job_name}-{run.uid}"
    shutil.rmtree(folder, ignore_errors=True)
    with disk_errors(shared):
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def work(run: ClusterRun, config: PrepareConfig, *, out_uri: str, folder: Path) -> None:
    """Prepare in `folder`. Raises StageError."""
    from runwright_components.prepare import prepare

    raw, former, out = folder / "raw", folder / "former", folder / "prepared"
    storage = place(run.storage)
    fetch_folder(storage.under(RAW), raw)
    if index_of(storage.under(FORMER)) is not None:
        fetch_folder(storage.under(FORMER), former)
    with ProgressMirror(storage, enabled=True) as told:
        progress = Progress("prepare", sink=told)
        prepare(config, raw=raw, out=out, progress=progress, former=former if former.exists() else None)
    store_folder(out, place(run.storage, out_uri))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
