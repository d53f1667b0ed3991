"""Tensors of a checkpoint as files: safetensors, and a JSON layout that says which file holds which part of a tensor.

A tensor is one chunk, or several that do not overlap: what each process of a sharded training holds of it. Whatever the
number of processes that wrote them, `read` puts any part together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor

from runwright_components.contract.artifacts import Document
from runwright_components.contract.files import file_digest
from runwright_components.models.weights import save_tensors

Place = tuple[int, ...]


class Chunk(Document):
    """A box of a tensor: where it begins, its lengths, and the file that holds it."""

    file: str
    offsets: Place
    sizes: Place


class TensorLayout(Document):
    """A whole tensor: `dtype` as torch calls it (float32), `shape`, and the chunks that cover it."""

    dtype: str
    shape: Place
    chunks: tuple[Chunk, ...]

    @property
    def torch_dtype(self) -> torch.dtype:
        found = getattr(torch, self.dtype, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"{self.dtype} is no type of numbers")
        return found


class Layout(Document):
    """All tensors of a checkpoint, and the digest of each file."""

    tensors: dict[str, TensorLayout]
    files: dict[str, str]

    def verify(self, folder: Path, names: Iterable[str]) -> None:
        """Compare some of the files with their digests. Raises ValueError that names the file, or OSError."""
        for name in names:
            if PurePath(name).name != name:
                raise ValueError(f"{name!r} leads out of the folder")
            if file_digest(folder / name) != self.files[name]:
                raise ValueError(f"{name} was altered")


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor; asked without importing that, which takes long."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return cast(Tensor, cast(Any, tensor).to_local()) if is_sharded(tensor) else tensor


def shard_name(rank: int) -> str:
    return f"shard-{rank:05d}.safetensors"


def key(name: str, offsets: Sequence[int]) -> str:
    """What a chunk is called in its file."""
    return f"{name}@{','.join(map(str, offsets))}" if any(offsets) else name


def type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def write_shard(folder: Path, name: str, chunks: Mapping[str, Tensor]) -> str:
    """Write contiguous CPU tensors by `key` to a file that survives a power cut. Returns its digest; raises OSError."""
    path = folder / name
    save_tensors(chunks, path)
    sync(path)
    return file_digest(path)


def write_whole(folder: Path, tensors: Mapping[str, Tensor]) -> Layout:
    """Write whole tensors, one chunk each, to one file. Raises OSError."""
    name = shard_name(0)
    files = {name: write_shard(folder, name, tensors)}
    return Layout(tensors={path: _whole(tensor, name) for path, tensor in tensors.items()}, files=files)


def _whole(tensor: Tensor, file: str) -> TensorLayout:
    shape = tuple(tensor.shape)
    chunk = Chunk(file=file, offsets=(0,) * len(shape), sizes=shape)
    return TensorLayout(dtype=type_name(tensor.dtype), shape=shape, chunks=(chunk,))


def read(folder: Path, layout: Layout, targets: Mapping[str, Tensor]) -> None:
    """Fill whole tensors in place from `folder`. Raises KeyError for one that is not there, ValueError for one of
    another shape."""
    parts: dict[str, list[tuple[str, Chunk]]] = {}
    for name, target in targets.items():
        found = layout.tensors[name]
        if found.shape != tuple(target.shape):
            raise ValueError(f"{name} is {list(found.shape)} in the checkpoint and {list(target.shape)} in the model")
        for chunk in found.chunks:
            parts.setdefault(chunk.file, []).append((name, chunk))
    for file, chunks in parts.items():
        with safe_open(folder / file, framework="pt") as shard, torch.no_grad():
            for name, chunk in chunks:
                box = tuple(slice(at, at + size) for at, size in zip(chunk.offsets, chunk.sizes, strict=True))
                targets[name][box].copy_(shard.get_tensor(key(name, chunk.offsets)))


def sync(path: Path) -> None:
    """Have the kernel write a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
