"""Raw data of an environment: what it is, its files, and what is seen in a few episodes played by chance."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl

from runwright_components.contract.artifacts import Lineage, RawManifest, SourceRecord
from runwright_components.contract.config import CollectConfig, EnvironmentConfig
from runwright_components.contract.environment import ENVIRONMENT, FILES, EnvironmentDocument
from runwright_components.contract.files import disk_errors, file_digest, files_digest, folder_files, new_folder
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.addresses import S3Address
from runwright_components.storage.s3 import Bucket

DATA = "data.parquet"
_STEPS = 1000  # of an episode that become rows
_WHERE = "train.environment.file"


def play_by_chance(
    config: CollectConfig, environment: EnvironmentConfig, *, out: Path, progress: Progress
) -> RawManifest:
    """Write raw data to `out`: `environment.json`, the user's files under `environment/`, and a row a step of
    `config.episodes` episodes. Raises StageError for an environment that cannot be learned in."""
    from runwright_components.environments.episodes import by_chance, play
    from runwright_components.environments.opening import open_guarded, rule_of_thumb, survey

    progress.emit("start", environment.name)
    with new_folder(out) as folder:
        files = folder / FILES
        _bring(environment, config.base, files)
        document = survey(environment, files)
        rule_of_thumb(environment, files)
        document.write(folder, ENVIRONMENT)
        episodes = play(
            lambda: open_guarded(document, files),
            by_chance,
            [config.seed + number for number in range(config.episodes)],
            recorded=_STEPS,
            told=lambda done: progress.update(done, config.episodes, unit="episodes"),
        )
        frame = _table(document, episodes.steps)
        frame.write_parquet(folder / DATA)
        manifest = _manifest(config, environment, folder, frame)
        manifest.write(folder)
    mean = float(episodes.returns.mean())
    progress.emit("done", f"{len(frame)} steps by chance, mean return {mean:.4g}", values={"rows": len(frame)})
    return manifest


def environment_signs(environment: EnvironmentConfig, base: str) -> dict[str, str]:
    """What tells whether the environment has changed: Gymnasium's version, and a sign of each file."""
    signs = {"gymnasium": version("gymnasium")}
    for path in _paths(environment):
        if path.startswith("s3://"):
            address = S3Address.parse(path)
            info = _bucket(address).info(address.key)
            signs[path] = str(info)
        else:
            signs[path] = file_digest(_local(path, base))
    return signs


def _bring(environment: EnvironmentConfig, base: str, into: Path) -> None:
    """Copy the environment's files to the folder `into`, by their last names."""
    paths = _paths(environment)
    names = [PurePosixPath(path).name for path in paths]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise _missing(f"two files are named {repeated}", "give them different names")
    into.mkdir()
    with disk_errors(into):
        for path, name in zip(paths, names, strict=True):
            if path.startswith("s3://"):
                address = S3Address.parse(path)
                _bucket(address).download(address.key, into / name, on_bytes=lambda _size: None)
            else:
                (into / name).write_bytes(_local(path, base).read_bytes())


def _paths(environment: EnvironmentConfig) -> list[str]:
    return [*filter(None, [environment.file]), *environment.files]


def _local(path: str, base: str) -> Path:
    found = Path(base) / path
    if not found.is_file():
        raise _missing(f"there is no such file: {path}", "give a path relative to the YAML file")
    return found


def _missing(message: str, cure: str) -> StageError:
    return StageError(Reason.INVALID_CONFIG, message, where=_WHERE, cure=cure)


def _bucket(address: S3Address) -> Bucket:
    return Bucket(address.bucket, endpoint=None, region=None)


def _table(document: EnvironmentDocument, steps: list[tuple[int, int, Any, Any, float]]) -> pl.DataFrame:
    episodes, numbers, observations, actions, rewards = zip(*steps, strict=True)
    seen = np.stack(observations)
    return pl.DataFrame(
        {
            "episode": pl.Series(episodes, dtype=pl.Int32),
            "step": pl.Series(numbers, dtype=pl.Int32),
            **dict(_columns(document, seen)),
            "action": pl.Series([np.ravel(action).tolist() for action in actions]),
            "reward": pl.Series(rewards, dtype=pl.Float64),
        }
    )


def _columns(document: EnvironmentDocument, seen: Any) -> Iterator[tuple[str, pl.Series]]:
    for place, (name, size) in enumerate(zip(document.observation.names, document.observation.sizes, strict=True)):
        yield name, pl.Series(seen[:, place], dtype=pl.Int32 if size else pl.Float32)


def _manifest(config: CollectConfig, environment: EnvironmentConfig, folder: Path, frame: pl.DataFrame) -> RawManifest:
    table = folder_files(folder)
    digest = files_digest(table)
    record = SourceRecord(
        name="environment",
        uri=environment.file or environment.id or "",
        format="environment",
        files=len(_paths(environment)),
        bytes=sum((folder / name).stat().st_size for name in table),
        rows=len(frame),
        digest=digest,
    )
    return RawManifest(
        digest=digest,
        rows=len(frame),
        columns={name: str(kind) for name, kind in frame.schema.items()},
        sources=(record,),
        files=(DATA,),
        lineage=Lineage(
            stage="collect",
            config=config.digest(),
            inputs={record.name: record.digest},
            version=version("runwright"),
        ),
    )
