"""The same thing in other words: texts by shingles, images by their look, rows by a key."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from runwright_components.contract.artifacts import QUALITY, PreparedManifest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import load_split
from runwright_components.prepare import minhash, perceptual
from runwright_components.prepare.clusters import candidates, joined
from runwright_components.prepare.minhash import Shingling
from runwright_components.prepare.quality import Quality

PrepareTable = Callable[..., tuple[Path, PreparedManifest]]


def texts(count: int = 150, seed: int = 0) -> list[str]:
    """Texts of which every third is an earlier one with some words replaced."""
    random = np.random.default_rng(seed)
    found: list[list[str]] = []
    for row in range(count):
        words = [f"word{number}" for number in random.integers(0, 400, 40)]
        if row % 3 == 2:
            words = list(found[row - 2])
            for place in random.integers(0, 40, random.integers(1, 5)).tolist():
                words[place] = f"other{place}"
        found.append(words)
    return [" ".join(words) for words in found]


def shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[i : i + size]) for i in range(max(len(words) - size + 1, 1))}


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.85])
def test_pairs_are_those_of_the_exact_similarity(similarity: float) -> None:
    rows = texts()
    sets = [shingles(text, 3) for text in rows]
    wanted = {
        (one, other)
        for one, other in itertools.combinations(range(len(rows)), 2)
        if len(sets[one] & sets[other]) >= similarity * len(sets[one] | sets[other])
    }
    found = {(one, other) for one, other in minhash.pairs(pl.Series(rows), similarity, Shingling()).tolist()}
    assert found <= wanted
    assert len(found) >= 0.95 * len(wanted)
    assert wanted


def test_short_texts_are_one_shingle_and_texts_without_words_are_like_none() -> None:
    rows = pl.Series(["Yes!", "yes", "no", "...", "!!!", "", "yes it is so"])
    assert minhash.pairs(rows, 0.8, Shingling()).tolist() == [[0, 1]]
    assert Shingling().of(rows).sizes.tolist() == [1, 1, 1, 0, 0, 0, 2]


def test_characters_are_for_scripts_without_blanks() -> None:
    rows = pl.Series(
        ["今天天气很好我们去公园散步吧朋友", "今天天气很好我们去公园散步吧朋友们", "明天要下雨所以我留在家里看书"]
    )
    found = minhash.pairs(rows, 0.7, Shingling("characters", 2))
    assert found.tolist() == [[0, 1]]
    assert minhash.pairs(rows, 0.7, Shingling("words", 2)).tolist() == []


def test_bands_find_a_pair_at_the_threshold_for_certain() -> None:
    for similarity in (0.3, 0.5, 0.8, 0.95, 1.0):
        bands, length = minhash.shape(similarity)
        assert bands * length <= minhash.HASHES
        assert 1 - (1 - similarity**length) ** bands >= 0.99


def test_a_large_bucket_is_not_compared_with_itself_in_full() -> None:
    keys = np.column_stack([np.ones(5000, dtype=np.uint64), np.arange(5000, dtype=np.uint64)])
    found = candidates(keys)
    assert len(found) < 10 * 5000
    assert (joined(5000, found) == 0).all()
    assert len(candidates(np.ones((5000, 4), dtype=np.uint64))) == 4999


def picture(seed: int, size: int = 64) -> Image.Image:
    """Soft random shapes."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((size, size), Image.Resampling.BICUBIC)


def test_images_that_were_scaled_or_compressed_look_the_same() -> None:
    images = [picture(seed) for seed in range(30)]
    file = io.BytesIO()
    images[3].save(file, "JPEG", quality=40)
    images += [Image.open(file), images[7].resize((90, 70)), images[9].point(lambda value: int(value * 0.9))]
    found = perceptual.pairs([perceptual.difference_hash(image) for image in images], 0.95)
    assert found.tolist() == [[3, 30], [7, 31], [9, 32]]


def test_near_texts_do_not_stand_in_two_splits(prepare_table: PrepareTable) -> None:
    rows = texts(120)
    frame = pl.DataFrame({"text": rows, "y": ["a", "b"] * 60})
    folder, _ = prepare_table(frame, modality="text", near_duplicates={"similarity": 0.5}, split={"strategy": "random"})
    splits = [load_split(folder, name).row_id for name in ("train", "validation", "test")]
    kept = np.concatenate(splits)
    sets = [shingles(rows[row], 3) for row in kept.tolist()]
    similar = [len(one & other) / len(one | other) for one, other in itertools.combinations(sets, 2)]
    assert max(similar) < 0.5
    dropped = Quality.read(folder, QUALITY).dropped
    assert [item.reason.split(" (")[0] for item in dropped] == ["nearly the same text as an earlier row"]
    assert "row 2 like row 0" in dropped[0].reason
    assert dropped[0].rows == 120 - len(kept)


def test_near_texts_may_be_told_alone(prepare_table: PrepareTable) -> None:
    frame = pl.DataFrame({"text": texts(60), "y": ["a", "b"] * 30})
    rules = {"similarity": 0.5, "action": "warn"}
    folder, _ = prepare_table(frame, modality="text", near_duplicates=rules, split={"strategy": "random"})
    report = Quality.read(folder, QUALITY)
    assert report.rows_out == 60
    assert any("may lie in two splits at once" in warning for warning in report.warnings)


def test_near_images_are_left_out(prepare_table: PrepareTable) -> None:
    def png(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    images = [png(picture(seed)) for seed in range(40)] + [png(picture(seed).resize((100, 80))) for seed in range(10)]
    frame = pl.DataFrame({"image": images, "y": ["a", "b"] * 25})
    folder, _ = prepare_table(
        frame, modality="image", image={"height": 8, "width": 8}, near_duplicates={}, split={"strategy": "random"}
    )
    report = Quality.read(folder, QUALITY)
    assert report.rows_out == 40
    assert "nearly the same image" in report.dropped[0].reason


@pytest.mark.parametrize(("keep", "wanted"), [("first", 0), ("last", 1)])
def test_one_row_of_each_key_is_kept(prepare_table: PrepareTable, keep: str, wanted: int) -> None:
    rows = 80
    frame = pl.DataFrame(
        {
            "customer": [f"c{i // 2}" if i < 76 else None for i in range(rows)],
            "x": np.arange(rows) * 1.5,
            "y": ["n", "n", "p", "p"] * (rows // 4),
        }
    )
    folder, _ = prepare_table(frame, duplicates_by={"columns": ["customer"], "keep": keep})
    kept = np.concatenate([load_split(folder, name).row_id for name in ("train", "validation", "test")])
    assert sorted(kept.tolist()) == [*range(wanted, 76, 2), 76, 77, 78, 79]
    dropped = Quality.read(folder, QUALITY).dropped
    assert [(item.reason, item.column, item.rows) for item in dropped] == [("another row has the key", "customer", 38)]


@pytest.mark.parametrize(
    ("columns", "words"), [(["customr"], "no column 'customr'"), (["tags"], "column 'tags' holds lists")]
)
def test_a_key_of_columns_that_cannot_be_compared_is_refused(
    prepare_table: PrepareTable, columns: list[str], words: str
) -> None:
    frame = pl.DataFrame({"customer": range(40), "tags": [["a"]] * 40, "y": ["n", "p"] * 20})
    with pytest.raises(StageError, match=words) as caught:
        prepare_table(frame, duplicates_by={"columns": columns})
    assert caught.value.reason == Reason.INVALID_CONFIG
    assert caught.value.where == "prepare.duplicatesBy.columns[0]"
