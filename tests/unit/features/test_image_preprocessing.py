"""Decoding, colour conversion and resizing of every kind of image."""

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runwright_components.contract.artifacts import Field, Signature
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import Preprocessing
from runwright_components.features.image import (
    MAX_PIXELS,
    ImagePreprocessing,
    ImagePreprocessingState,
    ImageState,
    PictureError,
    decode,
    resized,
)
from runwright_components.features.target import Target


def file_of(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def build(height: int = 8, width: int = 6, channels: Any = 3) -> ImagePreprocessing:
    signature = Signature(
        task="classification",
        modality="image",
        inputs=(Field(name="image", type="image", nullable=False),),
        labels=("a", "b"),
        tensors=(),
    )
    state = ImagePreprocessingState(
        signature=signature,
        target=Target(name="label", task="classification", keys=("a", "b"), labels=("a", "b")),
        image=ImageState(
            column="image",
            height=height,
            width=width,
            channels=channels,
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
        ),
    )
    return ImagePreprocessing(state)


def pixels_of(content: bytes, channels: int = 3) -> np.ndarray:
    picture = decode(content, channels)
    return resized(picture, picture.image.height, picture.image.width)


def test_a_colour_image_comes_as_planes():
    image = noise(5, 7)
    np.testing.assert_array_equal(pixels_of(file_of(image)), np.asarray(image).transpose(2, 0, 1))


def test_grey_and_colour_convert_into_each_other():
    grey = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    np.testing.assert_array_equal(pixels_of(file_of(grey)), np.broadcast_to(np.asarray(grey), (3, 3, 4)))
    np.testing.assert_array_equal(pixels_of(file_of(grey.convert("RGB")), 1)[0], np.asarray(grey))


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_laid_over_white(channels):
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((1, 0), (0, 0, 0, 255))
    assert pixels_of(file_of(clear), channels)[:, 0].tolist() == [[255, 0]] * channels
    grey = Image.new("LA", (1, 1), (0, 51))
    assert pixels_of(file_of(grey), channels)[:, 0, 0].tolist() == [204] * channels
    palette = Image.new("P", (1, 1), 3)
    palette.putpalette([0] * 768)
    assert pixels_of(file_of(palette, transparency=3), channels)[:, 0, 0].tolist() == [255] * channels


def test_a_palette_becomes_its_colours():
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 10, 20, 30] + [0] * 762)
    for form in ("PNG", "GIF"):
        assert pixels_of(file_of(image, form))[:, 0, 0].tolist() == [10, 20, 30]


def test_sixteen_bits_become_eight():
    deep = Image.fromarray(np.array([[0, 255, 257, 32896, 65535]], dtype=np.uint16))
    for form in ("PNG", "TIFF"):
        assert pixels_of(file_of(deep, form), 1)[0, 0].tolist() == [0, 1, 1, 128, 255]
        assert pixels_of(file_of(deep, form), 3)[:, 0, 4].tolist() == [255, 255, 255]


def test_one_bit_and_cmyk_are_read():
    assert pixels_of(file_of(Image.new("1", (1, 1), 1)), 1).tolist() == [[[255]]]
    assert pixels_of(file_of(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), 1).min() > 250


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    content = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels_of(content)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_upright(orientation):
    upright = noise(4, 6)
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(file_of(stored, exif=exif), 3)
    assert picture.turned is (orientation != 1)
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(upright))


def test_shrinking_averages_what_a_pixel_covers():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = resized(decode(file_of(Image.fromarray(board.astype(np.uint8))), 1), 8, 8)
    assert small.min() >= 120
    assert small.max() <= 135


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5), st.sampled_from([1, 3]))
def test_a_row_does_not_depend_on_the_others(sizes, channels):
    preprocessing = build(channels=channels)
    files = [file_of(noise(height, width, seed)) for seed, (height, width) in enumerate(sizes)]
    together = preprocessing.transform(pl.DataFrame({"image": files}))["pixels"]
    assert (together.dtype, together.shape) == (np.float32, (len(files), channels, 8, 6))
    assert together.min() >= 0
    assert together.max() <= 1
    for row, content in enumerate(files):
        alone = preprocessing.transform(pl.DataFrame({"image": [content]}))["pixels"]
        np.testing.assert_array_equal(together[row], alone[0])


def test_saved_and_loaded_it_is_the_same(tmp_path):
    preprocessing = build()
    preprocessing.save(tmp_path)
    loaded = Preprocessing.load(tmp_path)
    rows = pl.DataFrame({"image": [file_of(noise(9, 9))]})
    np.testing.assert_array_equal(preprocessing.transform(rows)["pixels"], loaded.transform(rows)["pixels"])


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_is_decoded():
    with pytest.raises(PictureError, match=f"more than {MAX_PIXELS:,}"):
        decode(bomb(), 3)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow warns of what it skips
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_pixels_or_a_picture_error(data):
    form = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))
    content = bytearray(file_of(noise(12, 12), form))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PictureError):
        assert pixels_of(bytes(content)).dtype == np.uint8


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pl.DataFrame({"photo": [b""]}), "no image column 'image'"),
        (pl.DataFrame({"image": [1.5]}), "holds Float64, not images"),
        (pl.DataFrame({"image": ["cat/1.png"]}), "not base64 of an image: 'cat/1.png'"),
        (pl.DataFrame({"image": [None]}, schema={"image": pl.Binary}), "the image is missing"),
        (pl.DataFrame({"image": [b"no"], "path": ["a/no.png"]}), "not an image"),
    ],
)
def test_rows_that_do_not_fit_are_refused(frame, says):
    with pytest.raises(StageError, match=says) as caught:
        build().transform(frame)
    assert caught.value.reason in (Reason.DATA_INVALID, Reason.DATA_UNREADABLE)
    if "path" in frame.columns:
        assert caught.value.where == "a/no.png"
