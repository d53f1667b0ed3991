"""Sharded states (FSDP2's and tensor parallelism's DTensors) by torch.distributed.checkpoint, in our files.

Its planner finds out which process writes which part of a tensor, each once, and which parts a process must read, at
any number of processes. Its own formats keep their metadata as pickle, or keep none; ours is the JSON layout of
`shards`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem, SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load as load_planned
from torch.distributed.checkpoint.state_dict_saver import save as save_planned
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from runwright_components.train.shards import Chunk, Layout, TensorLayout, key, shard_name, type_name, write_shard


def save(folder: Path, tensors: dict[str, Tensor], group: Any) -> Layout:
    """Write each process's part of `tensors` to `folder`; every process of `group` calls. Returns the layout on rank 0.

    What any process fails with, all raise.
    """
    writer = ShardWriter(folder)
    try:
        save_planned(tensors, storage_writer=writer, process_group=group)
    except CheckpointException as error:
        first, _ = next(iter(error.failures.values()))
        raise first from error
    return writer.layout


def load(folder: Path, layout: Layout, targets: dict[str, Tensor]) -> None:
    """Fill `targets` in place with what this process holds of them; other processes need not call."""
    load_planned(cast(Any, targets), storage_reader=ShardReader(folder, layout), no_dist=True)


class ShardWriter(StorageWriter):
    """One safetensors file a process; `layout` is there on the coordinator once the last has written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(tensors={}, files={})

    def reset(self, checkpoint_id: Any = None) -> None:
        """There is no state between two saves."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """The caller has made the folder."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return [replace(plan, storage_data=shard_name(rank)) for rank, plan in enumerate(plans)]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        chunks: dict[str, Tensor] = {}
        for item in plan.items:
            tensor = cast(Tensor, planner.resolve_data(item)).detach().cpu()
            chunks[key(item.index.fqn, item.index.offset or ())] = tensor.contiguous()
        digest = write_shard(self.folder, plan.storage_data, chunks)
        done: Future[list[WriteResult]] = Future()
        done.set_result(
            [
                WriteResult(item.index, item.tensor_storage_size() or 0, (plan.storage_data, digest))
                for item in plan.items
            ]
        )
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        written = {result.index: result.storage_data for results_of_rank in results for result in results_of_rank}
        tensors = {}
        for name, found in metadata.state_dict_metadata.items():
            assert isinstance(found, TensorStorageMetadata)
            chunks = tuple(
                Chunk(
                    file=written[MetadataIndex(name, chunk.offsets)][0],
                    offsets=tuple(chunk.offsets),
                    sizes=tuple(chunk.sizes),
                )
                for chunk in found.chunks
            )
            tensors[name] = TensorLayout(
                dtype=type_name(found.properties.dtype), shape=tuple(found.size), chunks=chunks
            )
        self.layout = Layout(tensors=tensors, files=dict(sorted(written.values())))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return isinstance(checkpoint_id, Path)


class ShardReader(StorageReader):
    """Reads the boxes that the planner asks for."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout

    def reset(self, checkpoint_id: Any = None) -> None:
        """There is no state between two loads."""

    def read_metadata(self, *_args: Any, **_kwargs: Any) -> Metadata:
        return Metadata(
            {
                name: TensorStorageMetadata(
                    TensorProperties(dtype=found.torch_dtype),
                    torch.Size(found.shape),
                    [
                        ChunkStorageMetadata(torch.Size(chunk.offsets), torch.Size(chunk.sizes))
                        for chunk in found.chunks
                    ],
                )
                for name, found in self.layout.tensors.items()
            }
        )

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """The layout says all."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        for file, items in self._by_file(plan).items():
            with safe_open(self.folder / file, framework="pt") as shard:
                for item in items:
                    name = key(item.storage_index.fqn, item.storage_index.offset or ())
                    box = tuple(
                        slice(at, at + size) for at, size in zip(item.storage_offsets, item.lengths, strict=True)
                    )
                    part = shard.get_slice(name)[box] if box else shard.get_tensor(name)
                    target = planner.resolve_tensor(item).detach()
                    target.copy_(part)
                    planner.commit_tensor(item, target)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _by_file(self, plan: LoadPlan) -> dict[str, list[ReadItem]]:
        files = {
            (name, chunk.offsets): chunk.file for name, found in self.layout.tensors.items() for chunk in found.chunks
        }
        by_file: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            file = files[item.storage_index.fqn, tuple(item.storage_index.offset or ())]
            by_file.setdefault(file, []).append(item)
        return by_file

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        return isinstance(checkpoint_id, Path)
