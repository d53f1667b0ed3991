"""Near duplicates of images: bits that survive scaling, recompression and small changes of light.

The hash is the difference hash, across and down: each bit says whether a pixel of the grey image of 9 x 8 (8 x 9)
pixels is darker than its neighbour (Krawetz 2013, "Kind of like that"), 128 bits together.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runwright_components.prepare.clusters import Keys, Rows, candidates

BITS = 128
_SIDE = 8


def difference_hash(image: Image.Image) -> bytes:
    """The 128 bits of an image, as 16 bytes."""
    grey = image.convert("L")
    across = _pixels(grey, _SIDE + 1, _SIDE)
    down = _pixels(grey, _SIDE, _SIDE + 1)
    bits = np.concatenate([(across[:, 1:] > across[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()])
    return np.packbits(bits).tobytes()


def pairs(hashes: list[bytes], similarity: float) -> Rows:
    """Pairs [P, 2] of images that differ in at most (1 - similarity) * 128 bits.

    Two hashes that differ in d bits agree in one of d + 1 bands: no such pair is missed within the reach of
    `clusters.candidates`.
    """
    if not hashes:
        return np.zeros((0, 2), dtype=np.int64)
    bits = np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(len(hashes), -1)
    most = round((1 - similarity) * BITS)
    found = candidates(_bands(bits, most + 1))
    words = bits.view(np.uint64)
    differing = np.bitwise_count(words[found[:, 0]] ^ words[found[:, 1]]).sum(axis=1)
    near: Rows = found[differing <= most]
    return near


def _pixels(grey: Image.Image, width: int, height: int) -> NDArray[np.int16]:
    return np.asarray(grey.resize((width, height), Image.Resampling.BOX), dtype=np.int16)


def _bands(bits: NDArray[np.uint8], count: int) -> Keys:
    """The bits cut into bands, each as one number: uint64 [N, count]."""
    single = np.unpackbits(bits, axis=1)
    edges = np.linspace(0, BITS, count + 1).round().astype(int)
    keys = np.zeros((len(bits), count), dtype=np.uint64)
    for band, (start, end) in enumerate(itertools.pairwise(edges)):
        powers = np.uint64(1) << np.arange(min(end - start, 64), dtype=np.uint64)
        keys[:, band] = single[:, start : start + len(powers)].astype(np.uint64) @ powers
    return keys
