"""The folder of a pretrained encoder in the Hugging Face layout, here or in object storage. Never pickle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath

from runwright_components.contract.files import disk_errors, file_digest, files_digest
from runwright_components.contract.outcome import Reason, StageError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
WEIGHTS = ".safetensors"
_SMALL = (".json", ".txt")
_S3 = "s3://"


@contextmanager
def encoder_folder(address: str, base: Path) -> Iterator[Path]:
    """The encoder at `address` as a folder of this machine, for the time of the block: a path relative to `base`, or an
    s3:// prefix, whose files come into a temporary folder.

    Raises StageError: nothing there, or weights as pickle alone.
    """
    if address.startswith(_S3):
        with tempfile.TemporaryDirectory(prefix="encoder-") as folder:
            _download(address, Path(folder), weights=True)
            yield Path(folder)
        return
    found = _local(address, base)
    require_weights([path.name for path in found.iterdir()], str(found))
    yield found


def encoder_files(address: str, base: Path) -> Path:
    """A folder with the encoder's JSON and text files, which are all that preparing data needs. Raises StageError."""
    return Path(_small_files(address).name) if address.startswith(_S3) else _local(address, base)


@cache
def _small_files(address: str) -> tempfile.TemporaryDirectory[str]:
    """Fetched once a process, and removed when it ends."""
    folder = tempfile.TemporaryDirectory(prefix="encoder-")
    _download(address, Path(folder.name), weights=False)
    return folder


def _local(address: str, base: Path) -> Path:
    found = base / address
    if not found.is_dir():
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            "the folder of the pretrained encoder does not exist",
            where=str(found),
            cure="set train.model.pretrained to a folder in the Hugging Face layout",
        )
    return found


def encoder_digest(folder: Path) -> str:
    """SHA-256 over the configuration and the weights."""
    names = sorted(path for path in folder.iterdir() if path.suffix == WEIGHTS or path.name == "config.json")
    return files_digest({path.name: file_digest(path) for path in names})


def _download(address: str, folder: Path, *, weights: bool) -> None:
    from runwright_components.storage.addresses import S3Address
    from runwright_components.storage.s3 import Bucket

    place = S3Address.parse(address)
    prefix = f"{place.key.rstrip('/')}/" if place.key else ""
    bucket = Bucket(place.bucket, endpoint=None, region=None)
    objects = {info.key.removeprefix(prefix): info for info in bucket.objects(prefix)}
    names = [name for name in objects if "/" not in name]
    if not names:
        raise StageError(
            Reason.SOURCE_NOT_FOUND,
            "there is no pretrained encoder under this prefix",
            where=address,
            cure="check bucket and prefix; config.json lies directly under it",
        )
    if weights:
        require_weights(names, address)
    wanted = (*_SMALL, WEIGHTS) if weights else _SMALL
    with disk_errors(folder):
        for name in names:
            if name.endswith(wanted):
                bucket.download(objects[name].key, folder / name, on_bytes=lambda _size: None)


def require_weights(names: Iterable[str], where: str) -> None:
    """Raises StageError unless one of the files of `where` is in safetensors."""
    found = sorted(names)
    if any(name.endswith(WEIGHTS) for name in found):
        return
    pickles = [name for name in found if PurePosixPath(name).suffix in PICKLES]
    if pickles:
        raise StageError(
            Reason.UNSUPPORTED,
            f"{pickles[0]} holds pickled weights, which can run code when loaded",
            where=where,
            cure="convert it once where you trust it: "
            "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)",
        )
    raise StageError(
        Reason.SOURCE_NOT_FOUND,
        "there are no weights (*.safetensors)",
        where=where,
        cure="name a folder in the Hugging Face layout: config.json and model.safetensors, for texts tokenizer.json,"
        " for images preprocessor_config.json",
    )
