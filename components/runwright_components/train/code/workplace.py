"""The folders that user code gets, filled."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic.alias_generators import to_camel

from runwright_components.contract.artifacts import PREPROCESSING
from runwright_components.contract.command import user_code_error
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.files import write_json
from runwright_components.contract.workplace import Places
from runwright_components.train.code.schema import GIVEN_SPLITS, SCHEMA, schema_of

_NOT_HYPERPARAMETERS = {"model", "code", "task", "modality", "base", "device", "max_restarts"}


@dataclass(frozen=True)
class Workplace(Places):
    """The places of one training, and what Runwright itself needs beside them."""

    prepared: Path
    untouched: dict[str, tuple[int, int]]  # sizes and times of the prepared files

    @classmethod
    def at(cls, folder: Path, *, prepared: Path, checkpoints: Path, resume: bool) -> Workplace:
        return cls(folder, checkpoints, resume, prepared, _signs(prepared))

    @property
    def endings(self) -> Path:
        """Where the bootstrap leaves exceptions."""
        return self.folder / "endings"

    @property
    def code(self) -> Path:
        """Where code from storage is brought to."""
        return self.folder / "code"

    def check_untouched(self) -> None:
        """Raise StageError (UserCodeError) when the code has changed the prepared data, which it sees by links."""
        if _signs(self.prepared) != self.untouched:
            raise user_code_error(
                "the code changed the prepared data, which later stages read",
                "copy what you want to change out of RUNWRIGHT_DATA, and prepare again with `runwright run --no-cache`",
            )


@contextmanager
def workplace(
    config: TrainConfig, *, prepared: Path, out: Path, checkpoints: Path, resume: bool
) -> Iterator[Workplace]:
    """Make the folders, beside `out`, and remove them in the end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.code.", dir=out.parent) as name:
        place = Workplace.at(Path(name), prepared=prepared, checkpoints=checkpoints, resume=resume)
        lay_out(config, place)
        yield place


def lay_out(config: TrainConfig, place: Workplace) -> None:
    """Put into `place`, an empty folder, what the code finds there; checkpoints stay only where it resumes."""
    for folder in (place.data, place.model, place.endings, place.code):
        folder.mkdir()
    place.checkpoints.mkdir(parents=True, exist_ok=True)
    if not place.resume:
        emptied(place.checkpoints)
    place.metrics.touch()
    write_json(place.config, hyperparameters(config))
    schema_of(place.prepared).write(place.data, SCHEMA)
    given = [*(f"{split}.parquet" for split in GIVEN_SPLITS), PREPROCESSING]
    for item in given:  # links: the data may be large
        (place.data / item).symlink_to(place.prepared / item)


def hyperparameters(config: TrainConfig) -> dict[str, object]:
    """What `config.json` holds: the fields of spec.train by their names in the YAML."""
    return _camel(config.model_dump(mode="json", exclude=_NOT_HYPERPARAMETERS))


def _camel(fields: dict[str, object]) -> dict[str, object]:
    return {to_camel(name): _camel(value) if isinstance(value, dict) else value for name, value in fields.items()}


def emptied(folder: Path) -> Path:
    """The folder, there and with nothing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in tuple(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder


def _signs(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(path): (facts.st_size, facts.st_mtime_ns) for path, facts in found.items()}
