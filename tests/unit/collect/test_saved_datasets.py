"""Folders that the real library `datasets` saved."""

from __future__ import annotations

import io
import json
from pathlib import Path

import datasets
import pytest
from PIL import Image as Picture

datasets.disable_progress_bars()


def _png(colour: int) -> bytes:
    file = io.BytesIO()
    Picture.new("L", (2, 2), colour).save(file, "PNG")
    return file.getvalue()


def _reviews(texts: list[str], labels: list[int]) -> datasets.Dataset:
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=datasets.Features(features))


def test_labels_are_read_by_name_and_shards_in_order(workplace) -> None:
    _reviews(["a", "b", "c"], [1, 0, -1]).save_to_disk(workplace.sources / "reviews", num_shards=2)
    manifest = workplace.collect("reviews")
    assert [tuple(row.values()) for row in workplace.rows(manifest)] == [("a", "good"), ("b", "bad"), ("c", None)]
    assert manifest.sources[0].format == "arrow"
    assert manifest.sources[0].files == 3  # both shards, and what says how the labels are called


def test_splits_become_a_column_and_one_of_them_can_be_named(workplace) -> None:
    both = datasets.DatasetDict(train=_reviews(["a", "b"], [0, 1]), test=_reviews(["c"], [1]))
    both.save_to_disk(workplace.sources / "reviews")
    rows = workplace.rows(workplace.collect("reviews"))
    assert sorted((row["text"], row["split"]) for row in rows) == [("a", "train"), ("b", "train"), ("c", "test")]
    assert any("{strategy: predefined, by: split}" in event.message for event in workplace.events)
    workplace.out = workplace.out.with_name("train")
    assert list(workplace.collect("reviews/train").columns) == ["text", "label"]


def test_other_names_of_the_labels_are_other_data(workplace) -> None:
    folder = workplace.sources / "reviews"
    _reviews(["a", "b"], [0, 1]).save_to_disk(folder)
    before = workplace.collect("reviews").digest
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("good", "fine"))
    workplace.out = workplace.out.with_name("again")
    manifest = workplace.collect("reviews")
    assert [row["label"] for row in workplace.rows(manifest)] == ["bad", "fine"]
    assert manifest.digest != before


def test_images_are_the_bytes_of_their_files(workplace, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(_png(7))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "light"])})
    pictures = [{"bytes": _png(200), "path": None}, str(tmp_path / "picture.png")]
    data = datasets.Dataset.from_dict({"image": pictures, "label": [1, 0]}, features=features)
    data.save_to_disk(workplace.sources / "pictures")
    rows = workplace.rows(workplace.collect("pictures"))
    assert [row["image"] for row in rows] == [_png(200), _png(7)]  # saved with its bytes, wherever it lay


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "data-00000-of-00001.arrow").unlink(), "data-00000-of-00001.arrow is missing"),
        (lambda folder: (folder / "state.json").write_text("[]"), "not the JSON that save_to_disk writes"),
        (lambda folder: (folder / "data-00000-of-00001.arrow").write_bytes(b"ab"), "not a whole Arrow file"),
        (
            lambda folder: (folder / "dataset_info.json").write_text(
                json.dumps({"features": {"label": {"names": ["bad"], "_type": "ClassLabel"}}})
            ),
            "has a label outside its 1 classes",
        ),
    ],
)
def test_what_is_not_whole_is_told(workplace, break_it, message: str) -> None:
    folder = workplace.sources / "reviews"
    _reviews(["a", "b"], [0, 1]).save_to_disk(folder)
    break_it(folder)
    error = workplace.refusal("reviews")
    assert message in str(error)
    assert "reviews" in str(error.where)


def test_a_split_that_could_say_two_things_is_refused(workplace) -> None:
    data = datasets.Dataset.from_dict({"text": ["a"], "split": ["left"]})
    datasets.DatasetDict(train=data, test=data).save_to_disk(workplace.sources / "both")
    assert "has splits and a column 'split'" in str(workplace.refusal("both"))
