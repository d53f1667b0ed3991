"""Writes a folder that `datasets.load_from_disk` opens, without that library.

The form is that of `DatasetDict.save_to_disk` (its reference): a folder a split of Arrow streams, state.json and
dataset_info.json, beside dataset_dict.json. The names of types are those of `datasets.Value`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from runwright_components.contract.outcome import Reason, StageError

ROWS = 1000  # of a record batch, as the library writes them
DATA = "data-00000-of-00001.arrow"
IMAGE = {"_type": "Image"}
_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64", "date32[day]": "date32"}


def feature(kind: Any) -> Any:
    """The feature of an Arrow type (pyarrow), as dataset_info.json writes it."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return {field.name: feature(field.type) for field in kind}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_large_list(kind):
        return {"feature": feature(kind.value_type), "_type": "LargeList"}
    if pa.types.is_list(kind):
        return {"feature": feature(kind.value_type), "_type": "List"}
    return {"dtype": _NAMES.get(str(kind), str(kind)), "_type": "Value"}


def class_label(names: Sequence[str]) -> dict[str, Any]:
    """The feature of a column of class codes."""
    return {"names": list(names), "_type": "ClassLabel"}


def write_split(
    folder: Path,
    split: str,
    schema: Any,
    batches: Iterable[Any],
    *,
    special: Mapping[str, dict[str, Any]],
    identity: str,
) -> int:
    """Write the record batches (pyarrow) to `folder/split`; the number of rows.

    `special` are the features that a type alone does not tell: labels, and images, whose column is
    struct<bytes, path>. `identity` names the content: the library keeps by it what it has worked out of a dataset.
    """
    import pyarrow as pa

    place = folder / split
    place.mkdir()
    features = {field.name: special.get(field.name) or feature(field.type) for field in schema}
    described = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    rows = 0
    with pa.OSFile(str(place / DATA), "wb") as file, pa.ipc.new_stream(file, described) as stream:
        for batch in batches:
            rows += batch.num_rows
            stream.write_batch(batch.replace_schema_metadata(described.metadata))
    fingerprint = sha256(json.dumps([identity, split, features]).encode()).hexdigest()[:16]
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    state: dict[str, Any] = {
        "_data_files": [{"filename": DATA}],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    _write(place / "dataset_info.json", info)
    _write(place / "state.json", state)
    return rows


def write_splits(folder: Path, splits: Iterable[str]) -> None:
    """Say which splits the folder has."""
    _write(folder / "dataset_dict.json", {"splits": list(splits)})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def refuse_files(out: Path) -> None:
    """Raise StageError where `out` holds something already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StageError(
            Reason.INVALID_CONFIG, "there is something already", where=str(out), cure="name a folder that is not there"
        )
