"""Images to pixels: the same decoding, colour conversion and resizing for every file, offline and online."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from runwright_components.contract.artifacts import ROW_ID, Document, PreparedManifest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.preprocessing import Preprocessing, State

PIXELS = "pixels"
MAX_PIXELS = 50_000_000  # of one image, by its header, before anything is decoded
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

_ORIENTATION = 0x0112  # EXIF tag
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")


class ImageState(Document):
    """`mean` and `std` a channel, of the training split's pixels in [0, 1]; the graph holds them as constants."""

    column: str
    height: int
    width: int
    channels: Literal[1, 3]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class ImagePreprocessingState(State):
    kind: Literal["image"] = "image"
    image: ImageState


@dataclass(frozen=True)
class Picture:
    """A decoded image, upright, in mode L or RGB with 8 bits. `width`, `height` and `mode` are the file's own."""

    image: Image.Image
    mode: str
    width: int
    height: int
    turned: bool  # by its EXIF orientation


class PictureError(ValueError):
    """Bytes that are no image that we read; `cure` says what to do."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


class ImagePreprocessing(Preprocessing):
    """`transform` gives `pixels` float32 [N, C, H, W] in [0, 1] from image files' bytes, or their base64."""

    state_type: ClassVar[type[State]] = ImagePreprocessingState

    def __init__(self, state: ImagePreprocessingState) -> None:
        super().__init__(state)
        self._image = state.image

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        rules = self._image
        pixels = np.empty((len(rows), rules.channels, rules.height, rules.width), dtype=np.uint8)
        for number, content in enumerate(contents(rows, rules.column)):
            try:
                if content is None:
                    raise PictureError("the image is missing", "give every row its image")
                pixels[number] = resized(decode(content, rules.channels), rules.height, rules.width)
            except PictureError as error:
                raise unreadable(rows, number, error) from error
        return {PIXELS: pixels.astype(np.float32) / np.float32(255)}


def contents(rows: pl.DataFrame, column: str) -> list[bytes | None]:
    """The files' bytes. Raises StageError (DataInvalid) for a column that holds neither bytes nor base64."""
    if column not in rows.columns:
        raise StageError(
            Reason.DATA_INVALID, f"the rows have no image column {column!r}", cure=f"give each row its {column!r}"
        )
    dtype = rows.schema[column]
    if dtype == pl.String:
        return [None if text is None else _from_base64(text, column) for text in rows[column].to_list()]
    if dtype not in (pl.Binary, pl.Null):
        raise StageError(
            Reason.DATA_INVALID,
            f"column {column!r} holds {dtype}, not images",
            cure="give the bytes of PNG or JPEG files, or their base64",
        )
    return rows[column].to_list()


def decode(content: bytes, channels: int) -> Picture:
    """Decode a file to grey (`channels` 1) or RGB (3), 8 bits each; transparency is laid over white, the first frame of
    an animation counts. Raises PictureError: not an image, cut off, or beyond MAX_PIXELS."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise _too_large(f"the image has {width} x {height} pixels")
            file.load()
            turned = file.getexif().get(_ORIENTATION, 1) in range(2, 9)
            upright = ImageOps.exif_transpose(file) if turned else file
            return Picture(_converted(upright, "L" if channels == 1 else "RGB"), file.mode, width, height, turned)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large("the image is huge") from error
    except UnidentifiedImageError as error:
        raise PictureError(
            f"the {len(content)} bytes are not an image", f"give one of {', '.join(FORMATS)}, or remove it"
        ) from error
    except Exception as error:
        # A broken file raises whatever comes up inside its decoder: there is no common class.
        raise PictureError(f"the image is damaged: {error}", "repair the file, or remove it") from error


def resized(picture: Picture, height: int, width: int) -> NDArray[np.uint8]:
    """Pixels uint8 [C, H, W]. Bilinear, over the whole area that a pixel covers when it shrinks (antialias); the sides'
    ratio is not kept."""
    image = picture.image
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def unreadable(rows: pl.DataFrame, number: int, error: PictureError) -> StageError:
    """The error for row `number` of `rows`, by its path where it has one, else by its number in the raw data."""
    path = rows["path"][number] if "path" in rows.columns else None
    row = rows[ROW_ID][number] if ROW_ID in rows.columns else number
    return StageError(Reason.DATA_UNREADABLE, str(error), where=str(path or f"row {row}"), cure=error.cure)


def split_inputs(frame: pl.DataFrame, _prepared: Path, manifest: PreparedManifest, /) -> dict[str, NDArray[Any]]:
    """`pixels` uint8 [N, C, H, W] of a prepared split."""
    shape = [size or 0 for size in manifest.signature.tensors[0].shape[1:]]
    flat = np.frombuffer(b"".join(frame[PIXELS].to_list()), dtype=np.uint8)
    return {PIXELS: flat.reshape(len(frame), *shape)}


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in _SIXTEEN_BITS:
        deep = np.asarray(image).clip(0, 65535).astype(np.uint32)
        image = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode == "F":
        raise PictureError("the image holds floating point numbers", "save it with 8 or 16 bits a channel")
    elif image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _too_large(what: str) -> PictureError:
    return PictureError(f"{what}, more than {MAX_PIXELS:,}", "scale the image down before it is collected")


def _from_base64(text: str, column: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise StageError(
            Reason.DATA_INVALID,
            f"the text is not base64 of an image: {text[:60]!r}",
            where=f"column {column}",
            cure="give base64 of the file; images that lie in folders are collected with format: images",
        ) from error
