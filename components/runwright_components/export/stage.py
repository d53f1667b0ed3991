"""The rows of each split, as they came from the source or as the model sees them, as a saved Hugging Face dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import polars as pl

from runwright_components.contract.artifacts import ROW_ID, TARGET, PreparedManifest
from runwright_components.contract.config import SPLITS, SplitName
from runwright_components.contract.files import new_folder
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.export.saved import IMAGE, ROWS, class_label, refuse_files, write_split, write_splits
from runwright_components.prepare.raw import RawData, open_raw
from runwright_components.storage.reading import polars_disk_errors

Form = Literal["source", "prepared"]
_PICTURES = 50  # rows of a record batch of images: one of text or numbers has ROWS


def export(prepared: Path, raw: Path | None, out: Path, form: Form = "source") -> dict[SplitName, int]:
    """Write the splits of `prepared` to `out`, which must not be there; the number of rows of each.

    `source`: the columns of the raw data `raw` that prepare read, of the rows that it kept, with the label that it
    read. `prepared`: the columns that the model is given. Classes are ClassLabel features, images Image features.
    Memory is bounded by a record batch. Raises StageError.
    """
    refuse_files(out)
    manifest = PreparedManifest.read(prepared)
    _refuse_without_splits(manifest, prepared)
    special = _special(manifest, form)
    data = _read_by(manifest, raw) if form == "source" else None
    counts: dict[SplitName, int] = {}
    with new_folder(out) as folder, TemporaryDirectory(dir=folder.parent, prefix=f".{out.name}.rows.") as scratch:
        for split in SPLITS:
            rows = _rows(prepared / f"{split}.parquet", data, manifest)
            file = Path(scratch, f"{split}.parquet")
            with polars_disk_errors(out):
                rows.sink_parquet(file, maintain_order=True, statistics=False)
            schema, batches = _arrow(file, _PICTURES if manifest.modality == "image" else ROWS)
            counts[split] = write_split(
                folder, split, schema, batches, special=special, identity=f"{manifest.digest} {form}"
            )
            file.unlink()
        write_splits(folder, SPLITS)
    return counts


def _refuse_without_splits(manifest: PreparedManifest, prepared: Path) -> None:
    missing = next((split for split in SPLITS if not (prepared / f"{split}.parquet").is_file()), None)
    if missing is None and ROW_ID in pl.scan_parquet(prepared / "train.parquet", glob=False).collect_schema():
        return
    raise StageError(
        Reason.UNSUPPORTED,
        f"the prepared data of the task {manifest.task} are no table of rows",
        where=str(prepared),
        cure="export is for tables, texts and images whose rows are examples",
    )


def _read_by(manifest: PreparedManifest, raw: Path | None) -> RawData:
    """The raw data that were prepared. Raises StageError where they are not there any more."""
    data = None if raw is None else open_raw(raw)
    if data is None or data.manifest.digest not in manifest.lineage.inputs.values():
        raise StageError(
            Reason.DATA_INVALID,
            "the raw data that these were prepared from are not in the workspace",
            where="" if raw is None else str(raw),
            cure="run it again with `runwright run`, or export what the model is given: --form prepared",
        )
    return data


def _special(manifest: PreparedManifest, form: Form) -> dict[str, dict[str, Any]]:
    """The features that a type does not tell."""
    signature = manifest.signature
    target = TARGET if form == "prepared" else signature.target
    special = {target: class_label(signature.labels)} if signature.labels and target else {}
    if form == "source":
        special |= {field.name: IMAGE for field in signature.inputs if field.type == "image"}
    return special


def _rows(split: Path, data: RawData | None, manifest: PreparedManifest) -> pl.LazyFrame:
    prepared = pl.scan_parquet(split, glob=False)
    if data is None:
        codes = [pl.col(TARGET).cast(pl.Int64)] if manifest.signature.labels else []
        return prepared.with_columns(codes)
    signature = manifest.signature
    labelled = bool(signature.labels) and signature.target in data.manifest.columns
    keys = prepared.select(ROW_ID, *([pl.col(TARGET).cast(pl.Int64).alias(_CODE)] if labelled else []))
    rows = keys.join(data.frame, on=ROW_ID, maintain_order="left")
    if labelled:
        rows = rows.with_columns(pl.col(_CODE).alias(signature.target)).drop(_CODE)
    pictures = [field.name for field in signature.inputs if field.type == "image"]
    inside = [pl.struct(pl.col(name).alias("bytes"), pl.lit(None, pl.String).alias("path")) for name in pictures]
    return rows.with_columns(one.alias(name) for one, name in zip(inside, pictures, strict=True))


_CODE = "\0code"  # no column of a source is called so


def _arrow(file: Path, rows: int) -> tuple[Any, Iterator[Any]]:
    """The file's schema and record batches, in the types that `datasets` writes itself."""
    import pyarrow as pa
    from pyarrow import parquet

    content = parquet.ParquetFile(str(file))
    fields = [pa.field(one.name, _plain(one.type)) for one in content.schema_arrow]
    schema = pa.schema(fields)

    def batches() -> Iterator[Any]:
        for batch in content.iter_batches(rows):
            yield from pa.Table.from_batches([batch]).cast(schema).combine_chunks().to_batches()

    return schema, batches()


def _plain(kind: Any) -> Any:
    """Without the large and dictionary forms that Polars writes."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    return kind
