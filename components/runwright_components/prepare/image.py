"""Prepare images: decode every file once, resize, find copies, measure the training split's pixels.

Memory holds a batch of images and a few numbers a row: the pixels go to disk as they come, from there to the splits.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from runwright_components.contract.artifacts import ROW_ID, TARGET, Field, Tensor
from runwright_components.contract.artifacts import PreparedManifest as Manifest
from runwright_components.contract.config import SPLITS, ImageRules, PrepareConfig
from runwright_components.contract.progress import Progress
from runwright_components.features.image import (
    PIXELS,
    ImagePreprocessing,
    ImagePreprocessingState,
    ImageState,
    PictureError,
    contents,
    decode,
    resized,
    unreadable,
)
from runwright_components.prepare import outputs
from runwright_components.prepare.image_normalization import pretrained_normalization
from runwright_components.prepare.labelled import CONTENT, LOOK, Selection, columns_of, require_content, select
from runwright_components.prepare.perceptual import difference_hash
from runwright_components.prepare.quality import ColumnQuality, Measure, Repair, Summary
from runwright_components.prepare.raw import RawData

_IMAGE = "image"
_BATCH = 64  # images decoded at once: bounds memory, whatever their size
_PART_BYTES = 64 * 2**20  # of pixels, in one file on the way
_ROW_GROUP_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Decoded:
    """One image as the model sees it, and what is told of it."""

    pixels: bytes  # uint8, C, H, W
    digest: bytes  # of the decoded image before it is resized
    width: int
    height: int
    brightness: float  # mean of the pixels, 0 to 1
    mode: str
    turned: bool
    look: bytes | None  # its difference hash, where near duplicates are looked for


@dataclass
class _Survey:
    """What the pass over all images found; a list holds a value a row with an image, in the order of the rows."""

    rows: list[pl.DataFrame] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    turned: int = 0

    def add(self, batch: pl.DataFrame, decoded: list[_Decoded | None]) -> None:
        self.rows.append(
            batch.with_columns(
                pl.Series(CONTENT, [each and each.digest for each in decoded], dtype=pl.Binary),
                pl.Series(LOOK, [each and each.look for each in decoded], dtype=pl.Binary),
                pl.Series("width", [each and each.width for each in decoded], dtype=pl.Int32),
                pl.Series("height", [each and each.height for each in decoded], dtype=pl.Int32),
                pl.Series("brightness", [each and each.brightness for each in decoded], dtype=pl.Float64),
            )
        )
        for each in decoded:
            if each is not None:
                self.modes[each.mode] += 1
                self.turned += each.turned

    @property
    def seen(self) -> int:
        return sum(map(len, self.rows))

    def table(self) -> pl.DataFrame:
        return pl.concat(self.rows, how="vertical")


def write(config: PrepareConfig, data: RawData, folder: Path, progress: Progress) -> Manifest:
    """Write the prepared images into `folder`. Raises StageError for data and settings that a person can mend."""
    require_content(data, config.image.column, _IMAGE)
    spool = folder / ".pixels"
    spool.mkdir()
    survey = _decode_all(config, data, spool, progress)
    table = survey.table()
    selection = select(table.drop("width", "height", "brightness"), config, _IMAGE, data.memory, data.fold)
    _write_splits(selection, spool, folder, config.image)
    inputs: dict[str, str] = {}
    if config.pretrained is None:
        mean, std = _channel_statistics(folder / "train.parquet", config.image)
    else:
        mean, std, inputs["preprocessor"] = pretrained_normalization(config.pretrained, config)
    state = _state(config, data, selection, mean, std, folder)
    shutil.rmtree(spool)
    kept = selection.rows.select(ROW_ID).join(table.drop(LOOK), on=ROW_ID, maintain_order="left")
    report = outputs.quality(
        config,
        data,
        selection,
        content=_content(config, data, table, kept, survey),
        measures=_measures(kept),
        warnings=_warnings(kept, config.image),
    )
    return outputs.finish(config, data, selection, ImagePreprocessing(state), report, folder, inputs=inputs)


def _decode_all(config: PrepareConfig, data: RawData, spool: Path, progress: Progress) -> _Survey:
    """Decode each image once; its pixels go into Parquet files in `spool`, by `row_id`. Raises StageError that names
    the first image that cannot be read."""
    rules, survey, look = config.image, _Survey(), config.near_duplicates is not None
    path = [pl.col("path")] if "path" in data.columns else []
    wanted = data.kept.select(*columns_of(data, config), pl.col(rules.column).alias(_IMAGE), *path)
    part: list[pl.DataFrame] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in wanted.collect_batches(chunk_size=_BATCH, maintain_order=True):
            decoded: list[_Decoded | None] = []
            for number, result in enumerate(
                pool.map(lambda each: _try(each, rules, look=look), contents(batch, _IMAGE))
            ):
                if isinstance(result, PictureError):
                    raise unreadable(batch.select(*path, ROW_ID), number, result) from result
                decoded.append(result)
            rows = batch.drop(_IMAGE, "path", strict=False)
            survey.add(rows, decoded)
            part.append(
                rows.select(ROW_ID, pl.Series(PIXELS, [each and each.pixels for each in decoded], dtype=pl.Binary))
            )
            if sum(each.estimated_size() for each in part) > _PART_BYTES:
                part = _flush(part, spool)
            progress.update(survey.seen, data.rows, unit="images", message="decoding")
    if part:
        _flush(part, spool)
    return survey


def _try(content: bytes | None, rules: ImageRules, *, look: bool) -> _Decoded | PictureError | None:
    """Decode in a thread; an error is handed back, since the caller knows the row."""
    if content is None:
        return None
    try:
        picture = decode(content, rules.channels)
    except PictureError as error:
        return error
    pixels = resized(picture, rules.height, rules.width)
    image = picture.image
    digest = hashlib.blake2b(f"{image.mode} {image.size}".encode() + image.tobytes(), digest_size=16)
    return _Decoded(
        pixels=pixels.tobytes(),
        digest=digest.digest(),
        width=picture.width,
        height=picture.height,
        brightness=float(pixels.mean(dtype=np.float64)) / 255,
        mode=picture.mode,
        turned=picture.turned,
        look=difference_hash(image) if look else None,
    )


def _flush(part: list[pl.DataFrame], spool: Path) -> list[pl.DataFrame]:
    number = sum(1 for _ in spool.iterdir())
    pl.concat(part).write_parquet(spool / f"{number:06}.parquet", compression="lz4", statistics=False)
    return []


def _write_splits(selection: Selection, spool: Path, folder: Path, rules: ImageRules) -> None:
    row_group = max(1, min(outputs.ROW_GROUP, _ROW_GROUP_BYTES // (rules.channels * rules.height * rules.width)))
    pixels = pl.scan_parquet(spool / "*.parquet")
    for name in SPLITS:
        rows = selection.of(name).lazy()
        pixels.join(rows, on=ROW_ID, maintain_order="left").select(PIXELS, TARGET, ROW_ID).sink_parquet(
            folder / f"{name}.parquet", row_group_size=row_group, statistics=False, maintain_order=True
        )


def _channel_statistics(train: Path, rules: ImageRules) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel of pixels in [0, 1]. The sums are whole numbers, so the batches leave no
    trace in them. A constant channel has deviation 1."""
    total, squares, count = [0] * rules.channels, [0] * rules.channels, 0
    for batch in pl.scan_parquet(train).select(PIXELS).collect_batches(chunk_size=1024):
        flat = np.frombuffer(b"".join(batch[PIXELS].to_list()), dtype=np.uint8)
        channels = flat.reshape(len(batch), rules.channels, -1)
        for channel in range(rules.channels):
            histogram = np.bincount(channels[:, channel].reshape(-1), minlength=256).tolist()
            total[channel] += sum(value * times for value, times in enumerate(histogram))
            squares[channel] += sum(value * value * times for value, times in enumerate(histogram))
        count += channels[:, 0].size
    variances = ((count * square - each**2) / count**2 for each, square in zip(total, squares, strict=True))
    return tuple(each / count / 255 for each in total), tuple(each**0.5 / 255 or 1.0 for each in variances)


def _state(
    config: PrepareConfig,
    data: RawData,
    selection: Selection,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    folder: Path,
) -> ImagePreprocessingState:
    rules = config.image
    shape = (rules.channels, rules.height, rules.width)
    first = pl.scan_parquet(folder / "train.parquet").select(PIXELS).head(1).collect().item()
    field = Field(name=rules.column, type="image", nullable=False, example=_png(first, shape))
    tensor = Tensor(name=PIXELS, dtype="float32", shape=(None, *shape))
    return ImagePreprocessingState(
        signature=outputs.signature(config, data, field, selection.target.labels, (tensor,)),
        target=selection.target,
        image=ImageState(
            column=rules.column, height=rules.height, width=rules.width, channels=rules.channels, mean=mean, std=std
        ),
    )


def _png(pixels: bytes, shape: tuple[int, int, int]) -> str:
    """Base64 of a PNG that decodes to these very pixels."""
    planes = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
    image = Image.fromarray(planes[0] if shape[0] == 1 else np.ascontiguousarray(planes.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _content(
    config: PrepareConfig, data: RawData, table: pl.DataFrame, kept: pl.DataFrame, survey: _Survey
) -> ColumnQuality:
    wanted = "L" if config.image.channels == 1 else "RGB"
    repairs = [
        Repair(kind="image", rows=rows, note=f"mode {mode} became {wanted}")
        for mode, rows in sorted(survey.modes.items())
        if mode != wanted
    ]
    if survey.turned:
        repairs.append(Repair(kind="image", rows=survey.turned, note="turned upright by the EXIF orientation"))
    return ColumnQuality(
        name=config.image.column,
        source_type=data.manifest.columns[config.image.column],
        type=_IMAGE,
        role="input",
        given=True,
        inputs=(PIXELS,),
        before=Summary(
            rows=len(table), missing=table[CONTENT].null_count(), distinct=table[CONTENT].drop_nulls().n_unique()
        ),
        after=Summary(rows=len(kept), distinct=kept[CONTENT].n_unique()),
        repairs=tuple(repairs),
    )


def _measures(kept: pl.DataFrame) -> list[Measure]:
    return [
        outputs.measure("width", "width of an image, pixels", kept["width"].to_numpy()),
        outputs.measure("height", "height of an image, pixels", kept["height"].to_numpy()),
        outputs.measure("brightness", "mean brightness of an image, 0 to 1", kept["brightness"].to_numpy()),
    ]


def _warnings(kept: pl.DataFrame, rules: ImageRules) -> list[str]:
    """Warn where resizing changes much."""
    found = []
    enlarged = int(((kept["width"] < rules.width) & (kept["height"] < rules.height)).sum())
    if enlarged:
        found.append(f"{enlarged} images are smaller than {rules.width} x {rules.height} pixels and are enlarged")
    ratio = (kept["width"] / kept["height"]) / (rules.width / rules.height)
    squeezed = int(((ratio > 1.5) | (ratio < 1 / 1.5)).sum())
    if squeezed:
        found.append(f"{squeezed} images change their sides' ratio by more than half when they are resized")
    return found
