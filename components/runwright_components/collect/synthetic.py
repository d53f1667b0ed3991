"""Rows made by a generator: the same on every machine, a shard at a time.

Only what IEEE 754 fixes is used (draws of numpy's PCG64, products and sums in a written order), no library of linear
algebra and no transcendental function, whose last bits differ from machine to machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from runwright_components.contract.config import SyntheticConfig

VERSION = 1  # of what is made; a change makes other rows of the same fields
SHARD_ROWS = 1 << 17
SHARD_IMAGES = 1 << 13
SIDE = 32  # pixels
GROUPS = ("amber", "birch", "cedar", "dune", "ember")
_WORDS = 500  # of the vocabulary
_TOPIC = 20  # words that one class prefers
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu")

Floats = NDArray[np.float64]


def write_rows(config: SyntheticConfig, new_file: Callable[[], Path], on_rows: Callable[[int], None]) -> list[Path]:
    """Write the rows as Parquet files; `on_rows` gets the rows of each. Memory is that of one shard."""
    size = SHARD_IMAGES if config.kind == "images" else max(1, SHARD_ROWS * 10 // max(config.features, 10))
    make = _MAKERS[config.kind]
    paths = []
    for shard, start in enumerate(range(0, config.rows, size)):
        rows = min(size, config.rows - start)
        path = new_file()
        make(config, _generator(config, 1, shard), rows).write_parquet(path, statistics=False)
        paths.append(path)
        on_rows(rows)
    return paths


def _generator(config: SyntheticConfig, *key: int) -> Generator:
    return Generator(PCG64(SeedSequence([VERSION, config.seed, *key])))


def _bell(chance: Generator, *shape: int) -> Floats:
    """Draws of mean 0 and variance 1 that look like a normal distribution: the sum of three uniform ones times two."""
    total = chance.random(shape)
    total += chance.random(shape)
    total += chance.random(shape)
    return (total - 1.5) * 2.0


# ---------------------------------------------------------------- tables


def _classification(config: SyntheticConfig, chance: Generator, rows: int) -> pl.DataFrame:
    """x0, x1, ... around the middle of the row's class; group is drawn by the class as well."""
    middles = _bell(_generator(config, 0), config.classes, config.features) * 1.5
    labels = chance.integers(0, config.classes, rows)
    features = _bell(chance, rows, config.features) + middles[labels]
    group = np.where(chance.random(rows) < 0.5, labels % len(GROUPS), chance.integers(0, len(GROUPS), rows))
    return _table(features, group, "label", _class_names(_mistaken(config, chance, labels)))


def _regression(config: SyntheticConfig, chance: Generator, rows: int) -> pl.DataFrame:
    """target is a sum of the features, of the product of the first and the last, and of what the group adds."""
    fixed = _generator(config, 0)
    weights, steps = _bell(fixed, config.features), _bell(fixed, len(GROUPS))
    features = _bell(chance, rows, config.features)
    group = chance.integers(0, len(GROUPS), rows)
    target = features[:, 0] * features[:, -1] + steps[group]
    for index, weight in enumerate(weights):
        target += features[:, index] * weight
    spread = config.noise * math.sqrt(config.features)
    return _table(features, group, "target", pl.Series(target + _bell(chance, rows) * spread))


def _table(features: Floats, group: NDArray[np.int64], target: str, values: pl.Series) -> pl.DataFrame:
    columns = {f"x{index}": features[:, index].astype(np.float32) for index in range(features.shape[1])}
    return pl.DataFrame({**columns, "group": _named(GROUPS, group), target: values})


def _mistaken(config: SyntheticConfig, chance: Generator, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels, some of them drawn anew."""
    again = chance.random(len(labels)) < config.noise
    return np.where(again, chance.integers(0, config.classes, len(labels)), labels)


def _class_names(labels: NDArray[np.int64]) -> pl.Series:
    return _named([f"class-{index}" for index in range(int(labels.max()) + 1)], labels)


def _named(names: Any, index: NDArray[np.int64]) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(index)


# ---------------------------------------------------------------- texts


def _text(config: SyntheticConfig, chance: Generator, rows: int) -> pl.DataFrame:
    """5 to 40 made-up words a text; every second one is of the 20 that the class prefers."""
    topics = _generator(config, 0).integers(0, _WORDS, (config.classes, _TOPIC))
    labels = chance.integers(0, config.classes, rows)
    lengths = chance.integers(5, 41, rows)
    owner = np.repeat(labels, lengths)
    own = topics[owner, chance.integers(0, _TOPIC, len(owner))]
    words = np.where(chance.random(len(owner)) < 0.5, own, chance.integers(0, _WORDS, len(owner)))
    frame = pl.DataFrame({"row": np.repeat(np.arange(rows), lengths), "word": _named(_vocabulary(), words)})
    texts = frame.group_by("row", maintain_order=True).agg(pl.col("word").str.join(" "))
    return pl.DataFrame({"text": texts["word"], "label": _class_names(_mistaken(config, chance, labels))})


def _vocabulary() -> list[str]:
    """ba-ba-ba, ba-ba-ce and so on: the digits of a number as syllables."""
    return ["".join(_SYLLABLES[int(digit)] for digit in f"{number:03}") for number in range(_WORDS)]


# ---------------------------------------------------------------- images


def _images(config: SyntheticConfig, chance: Generator, rows: int) -> pl.DataFrame:
    """32 x 32 pixels: stripes of the class' width, direction and colour, at any place, in noise.

    BMP, which every encoder writes alike.
    """
    fixed = _generator(config, 0)
    widths, colours = fixed.integers(2, 9, config.classes), fixed.integers(64, 256, (config.classes, 3))
    slopes = fixed.integers(0, 4, (config.classes, 2))
    slopes[:, 0] += slopes.sum(axis=1) == 0
    labels = chance.integers(0, config.classes, rows)
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    shown = []
    for label in labels:
        place = across * slopes[label, 0] + down * slopes[label, 1] + chance.integers(0, SIDE)
        stripes = (place // widths[label] % 2)[:, :, None] * colours[label]
        shown.append(_bitmap((stripes * 3 + chance.integers(0, 256, (SIDE, SIDE, 3))) // 4))
    names = _class_names(_mistaken(config, chance, labels))
    return pl.DataFrame({"image": pl.Series(shown, dtype=pl.Binary), "label": names})


def _bitmap(pixels: NDArray[np.int64]) -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "BMP")
    return file.getvalue()


_MAKERS: dict[str, Callable[[SyntheticConfig, Generator, int], pl.DataFrame]] = {
    "classification": _classification,
    "regression": _regression,
    "images": _images,
    "text": _text,
}
