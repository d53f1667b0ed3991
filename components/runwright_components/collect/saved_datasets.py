"""Folders that the Hugging Face library `datasets` wrote (`save_to_disk`), read without that library.

The form is the library's own (`Dataset.save_to_disk`, `DatasetDict.save_to_disk` in its reference): Arrow streams, with
state.json, which lists them in order, and dataset_info.json, which says what the columns mean; of several splits a
folder each, beside dataset_dict.json. No pickle is in it and no program is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from runwright_components.collect.arrow_tables import rewritten, whole
from runwright_components.collect.files import SourceFile
from runwright_components.collect.tables import Table, digest_of, explain_broken
from runwright_components.contract.outcome import Reason, StageError

if TYPE_CHECKING:
    import polars as pl

STATE, INFO = "state.json", "dataset_info.json"
SPLIT = "split"  # the column that says where a row was, when there are several splits
LARGEST = 64 << 20  # bytes of either JSON file


@dataclass(frozen=True, slots=True)
class SavedSplit:
    """One folder of Arrow streams: `name` is its split, empty where there is one alone."""

    name: str
    files: tuple[SourceFile, ...]
    info: SourceFile
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # column -> names of its classes
    images: frozenset[str] = frozenset()  # columns that hold the files of images


def saved_splits(files: list[SourceFile]) -> list[SavedSplit]:
    """The splits of a saved dataset, in the order of their names; none where the files are something else.

    Raises StageError where a folder is not whole.
    """
    by_name = {file.name: file for file in files}
    folders = [
        str(PurePosixPath(name).parent)
        for name in by_name
        if PurePosixPath(name).name == STATE and _beside(name, INFO) in by_name
    ]
    return [_split(folder, by_name, alone=len(folders) == 1) for folder in sorted(folders)]


def open_splits(splits: list[SavedSplit], scratch: Callable[[], Any]) -> list[Table]:
    """A table a file: labels as their names, images as their files' bytes, and the split where there are several.

    Raises StageError where a file is not whole or does not hold what dataset_info.json says.
    """
    return [_table(split, file, scratch) for split in splits for file in split.files]


def _beside(name: str, other: str) -> str:
    return str(PurePosixPath(name).with_name(other))


def _split(folder: str, files: Mapping[str, SourceFile], *, alone: bool) -> SavedSplit:
    state, info = files[str(PurePosixPath(folder, STATE))], files[str(PurePosixPath(folder, INFO))]
    listed = [str(one.get("filename")) for one in _objects(_json(state).get("_data_files"))]
    found = [files.get(str(PurePosixPath(folder, name))) for name in listed]
    if not listed or None in found:
        lacking = next((name for name, file in zip(listed, found, strict=True) if file is None), "any file")
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"the saved dataset is not whole: {lacking} is missing",
            where=state.display,
            cure="copy the whole folder, or save it again with save_to_disk",
        )
    features = _json(info).get("features")
    kinds = features if isinstance(features, dict) else {}
    labels = {
        name: tuple(map(str, kind["names"]))
        for name, kind in kinds.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list)
    }
    images = frozenset(name for name, kind in kinds.items() if isinstance(kind, dict) and kind.get("_type") == "Image")
    return SavedSplit("" if alone else PurePosixPath(folder).name, tuple(f for f in found if f), info, labels, images)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _json(file: SourceFile) -> dict[str, Any]:
    try:
        if file.path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        content = json.loads(file.path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
    except (ValueError, RecursionError) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"not the JSON that save_to_disk writes: {error}",
            where=file.display,
            cure="copy the whole folder, or save it again with save_to_disk",
        ) from error
    return content


def _table(split: SavedSplit, file: SourceFile, scratch: Callable[[], Any]) -> Table:
    def check(on_bytes: Callable[[int], None]) -> dict[str, str]:
        info = "sha256:" + sha256(split.info.path.read_bytes()).hexdigest()  # decides the rows as the file does
        return {file.name: digest_of(file.path, on_bytes), split.info.name: info}

    return Table(file.display, _frame(split, file, scratch()), check, explain_broken(file.display))


def _frame(split: SavedSplit, file: SourceFile, target: Any) -> pl.LazyFrame:
    import pyarrow as pa

    with whole(file.display, "Arrow"), pa.OSFile(str(file.path)) as opened, pa.ipc.open_stream(opened) as stream:
        if split.name and SPLIT in stream.schema.names:
            raise StageError(
                Reason.DATA_INVALID,
                f"the dataset has splits and a column {SPLIT!r}, so a row could say two things",
                where=file.display,
                cure=f"name the folder of one split, or rename the column: rename_column({SPLIT!r}, ...)",
            )
        schema = _decoded(stream.schema.empty_table(), split, file).schema
        return rewritten(schema, _batches(stream, split, file), target, file.display)


def _batches(stream: Any, split: SavedSplit, file: SourceFile) -> Iterator[Any]:
    import pyarrow as pa

    for batch in stream:
        yield from _decoded(pa.Table.from_batches([batch]), split, file).combine_chunks().to_batches()


def _decoded(table: Any, split: SavedSplit, file: SourceFile) -> Any:
    import pyarrow as pa

    for place, name in enumerate(table.schema.names):
        column = table.column(name).combine_chunks()
        if name in split.labels and pa.types.is_integer(column.type):
            table = table.set_column(place, name, _named(column, split.labels[name], name, file))
        elif name in split.images and pa.types.is_struct(column.type):
            table = table.set_column(place, name, _bytes(column, name, file))
    if split.name:
        table = table.append_column(SPLIT, pa.array([split.name] * table.num_rows, pa.string()))
    return table.replace_schema_metadata(None)


def _named(codes: Any, names: tuple[str, ...], column: str, file: SourceFile) -> Any:
    """The names of class codes; -1, which published test splits have, is no label."""
    import pyarrow as pa
    from pyarrow import compute as pc

    known = pc.if_else(pc.equal(codes, -1), None, codes)
    highest = pc.max(known).as_py()
    if highest is not None and (highest >= len(names) or pc.min(known).as_py() < 0):
        raise StageError(
            Reason.DATA_INVALID,
            f"column {column!r} has a label outside its {len(names)} classes",
            where=file.display,
            cure="mend the feature: dataset.cast_column(NAME, ClassLabel(names=[...])), and save it again",
        )
    return pa.array(names, pa.string()).take(known)


def _bytes(images: Any, column: str, file: SourceFile) -> Any:
    from pyarrow import compute as pc

    content, path = pc.struct_field(images, "bytes"), pc.struct_field(images, "path")
    outside = pc.and_(pc.is_null(content), pc.is_valid(path))
    if pc.any(outside).as_py():
        raise StageError(
            Reason.DATA_INVALID,
            f"column {column!r} names files of the machine that made it in place of images",
            where=file.display,
            cure="save it there again with save_to_disk of datasets 2.10 or later, which puts the images inside",
        )
    return content
