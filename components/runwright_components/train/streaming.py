"""Splits that are too large for memory: arrays in files, mapped into memory, whose batches are read ahead.

The files are written once a machine, part by part, beside the checkpoints. A process then reads the rows of its own
steps alone, in the order of the `BatchPlan`, so that the curve is that of a split in memory, bit by bit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from runwright_components.contract.artifacts import PreparedManifest
from runwright_components.contract.config import SplitName, TrainConfig
from runwright_components.contract.files import new_folder
from runwright_components.features.split_io import Split, check_target, load_parts
from runwright_components.models import Shape
from runwright_components.train.data import Inputs, Rows, TensorSplit, read_split, scaled
from runwright_components.train.memory import available
from runwright_components.train.ranks import Ranks

PART_ROWS = 16_384  # of a part when the files are written
MEMORY_SHARE = 0.25  # rows that take more of the memory are streamed
AHEAD = 4  # batches
WAIT_SECONDS = 0.1
TARGET, LENGTHS = "target", "lengths"  # files beside the inputs'

Batch = tuple[Inputs, Tensor]


def is_streamed(config: TrainConfig, prepared: Path, shape: Shape, ranks: Ranks) -> bool:
    """Whether the rows are read step by step in place of being held in memory: as asked, or by their size."""
    loading = config.distributed.loading
    if loading != "auto":
        return loading == "stream"
    rows = PreparedManifest.read(prepared).rows
    return (rows["train"] + rows["validation"]) * row_bytes(shape) > MEMORY_SHARE * available(ranks)


def open_splits(prepared: Path, config: TrainConfig, shape: Shape, ranks: Ranks, *, beside: Path) -> tuple[Rows, Rows]:
    """Training and validation rows in files under `beside`. Raises as `mapped` does."""

    def opened(name: SplitName) -> Rows:
        if not PreparedManifest.read(prepared).rows[name]:  # an empty file cannot be mapped
            return read_split(prepared, name, config.task, shape.classes, ranks.device)
        return StreamedSplit(mapped(prepared, name, config, shape, ranks, beside), ranks.device)

    return opened("train"), opened("validation")


def row_bytes(shape: Shape) -> int:
    """Bytes of a row in memory: float32 and int64, pixels uint8; texts at their longest, with their masks."""
    channels, height, width = shape.image
    return 4 * shape.numeric + 8 * len(shape.categories) + 16 * shape.max_tokens + channels * height * width + 8


class StreamedSplit:
    """A split in the files of `folder`; `take` gives what `TensorSplit.take` would, on `device`."""

    evaluation_factor = TensorSplit.evaluation_factor

    def __init__(self, folder: Path, device: torch.device) -> None:
        arrays = {path.stem: torch.from_numpy(np.load(path, mmap_mode="c")) for path in sorted(folder.glob("*.npy"))}
        self.target = arrays.pop(TARGET)
        self._split = TensorSplit(arrays, self.target, torch.device("cpu"), lengths=arrays.pop(LENGTHS, None))
        self._device = device
        self._reader: ReadAhead | None = None

    def __len__(self) -> int:
        return len(self.target)

    def start(self, epoch: int, upcoming: Iterator[Tensor]) -> None:  # noqa: ARG002 (every epoch has the same rows)
        """Read the batches of an epoch ahead."""
        self.close()
        self._reader = ReadAhead(self._read, upcoming)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def take(self, rows: Tensor) -> Batch:
        """Inputs by tensor name and targets of `rows` (int64, CPU); texts cut to the longest, pixels in [0, 1]."""
        inputs, target = self._read(rows) if self._reader is None else self._reader.take(rows)
        moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in inputs.items()}
        return scaled(moved), target.to(self._device, non_blocking=True)

    def _read(self, rows: Tensor) -> Batch:
        inputs, target = self._split.pick(rows)
        inputs, target = {name: _widened(tensor) for name, tensor in inputs.items()}, _widened(target)
        if self._device.type == "cuda":  # from pinned memory, copies run beside the computation
            return {name: tensor.pin_memory() for name, tensor in inputs.items()}, target.pin_memory()
        return inputs, target


class ReadAhead:
    """A thread that reads the batches of `upcoming` a few ahead of the one who asks for them."""

    def __init__(self, read: Callable[[Tensor], Batch], upcoming: Iterator[Tensor]) -> None:
        self._read, self._upcoming = read, upcoming
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
        self._waiting: deque[tuple[Tensor, Future[Batch]]] = deque()
        for _ in range(AHEAD):
            self._more()

    def _more(self) -> None:
        rows = next(self._upcoming, None)
        if rows is not None:
            self._waiting.append((rows, self._pool.submit(self._read, rows)))

    def take(self, rows: Tensor) -> Batch:
        """The batch of `rows`, read by now if they are the next of `upcoming`. Raises what reading raised."""
        if not self._waiting or not torch.equal(self._waiting[0][0], rows):
            return self._read(rows)
        _, batch = self._waiting.popleft()
        self._more()
        return batch.result()

    def close(self) -> None:
        """End the thread; what it has read is dropped."""
        self._waiting.clear()
        self._pool.shutdown(cancel_futures=True)


# -------------------------------------------------------- files


def mapped(prepared: Path, name: SplitName, config: TrainConfig, shape: Shape, ranks: Ranks, beside: Path) -> Path:
    """The folder under `beside` with the arrays of a split; the machine's first process writes it, others wait.

    Raises StageError (DataInvalid) for targets that cannot be learned from, StorageFull when the disk is full.
    """
    manifest = PreparedManifest.read(prepared)
    folder = beside / "rows" / f"{name}-{manifest.digest.removeprefix('sha256:')[:16]}"
    if ranks.local == 0 and not folder.exists():
        with new_folder(folder) as temporary:
            _write(prepared, name, config, shape, manifest.rows[name], temporary)
    while not folder.exists():  # no collective: writing may take longer than one may hang
        time.sleep(WAIT_SECONDS)
    return folder


def _write(prepared: Path, name: SplitName, config: TrainConfig, shape: Shape, rows: int, folder: Path) -> None:
    width = _longest(prepared, name) if shape.modality == "text" else 0
    arrays: dict[str, np.memmap[Any, Any]] = {}
    start = 0
    for part in load_parts(prepared, name, PART_ROWS):
        check_target(part.target, config.task, shape.classes, split=name, where=str(prepared), first=start)
        for key, array in _arrays(part, width, shape.pad).items():
            if key not in arrays:
                arrays[key] = open_memmap(
                    folder / f"{key}.npy", "w+", dtype=array.dtype, shape=(rows, *array.shape[1:])
                )
            arrays[key][start : start + len(part)] = array
        start += len(part)
    for array in arrays.values():
        array.flush()


def _longest(prepared: Path, name: SplitName) -> int:
    lengths = pl.scan_parquet(prepared / f"{name}.parquet").select(pl.col("input_ids").list.len().max())
    return int(lengths.collect().item())


def _arrays(part: Split, width: int, pad: int) -> dict[str, NDArray[Any]]:
    """What is written of a part: texts at `width`, whole numbers in 32 bits."""
    arrays = dict(part.inputs)
    for key, filling in (("input_ids", pad), ("attention_mask", 0)):
        if key in arrays:
            missing = width - arrays[key].shape[1]
            arrays[key] = np.pad(arrays[key], ((0, 0), (0, missing)), constant_values=filling)
    if "attention_mask" in arrays:
        arrays[LENGTHS] = arrays["attention_mask"].sum(axis=1)
    arrays[TARGET] = part.target
    return {key: array.astype(np.int32) if array.dtype == np.int64 else array for key, array in arrays.items()}


def _widened(tensor: Tensor) -> Tensor:
    return tensor.long() if tensor.dtype == torch.int32 else tensor
