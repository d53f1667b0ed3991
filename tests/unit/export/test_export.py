"""Splits that are written as a saved dataset, opened by the real library `datasets`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Picture

from runwright_cli.export_command import export as command
from runwright_components.collect import collect
from runwright_components.contract.artifacts import PreparedManifest
from runwright_components.contract.config import CollectConfig, PrepareConfig, Source
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import silent
from runwright_components.export import export
from runwright_components.prepare import prepare

datasets.disable_progress_bars()
TEXTS = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
PICTURES = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "light"])})
BY_SPLIT = {"strategy": "predefined", "by": "split"}


def _splits(features: datasets.Features, row: Any) -> datasets.DatasetDict:
    def some(first: int, last: int) -> datasets.Dataset:
        rows = [row(number) for number in range(first, last)]
        return datasets.Dataset.from_dict({name: [one[name] for one in rows] for name in features}, features=features)

    return datasets.DatasetDict(train=some(0, 24), validation=some(24, 32), test=some(32, 40))


def _review(number: int) -> dict[str, Any]:
    return {"text": f"{'poor' if number % 2 == 0 else 'fine'} day {number}", "label": number % 2}


def _picture(number: int) -> dict[str, Any]:
    file = io.BytesIO()
    shade = np.full((8, 8, 3), 200 * (number % 2) + number, np.uint8)
    Picture.fromarray(shade).save(file, "PNG")
    return {"image": {"bytes": file.getvalue(), "path": None}, "label": number % 2}


def _prepared(saved: datasets.DatasetDict, folder: Path, **config: Any) -> tuple[Path, Path]:
    """(prepared, raw) of a saved dataset."""
    saved.save_to_disk(folder / "saved")
    raw, out = folder / "raw", folder / "prepared"
    source = Source(name="saved", uri="saved")
    collect(CollectConfig(sources=(source,), base=str(folder)), out=raw, progress=silent())
    settings = {"task": "classification", "target": "label", "split": BY_SPLIT, **config}
    prepare(PrepareConfig.model_validate(settings), raw=raw, out=out, progress=silent())
    return out, raw


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    saved = _splits(TEXTS, _review)
    saved["train"] = datasets.concatenate_datasets([saved["train"], saved["train"].select([0])])  # a duplicate
    return _prepared(saved, tmp_path_factory.mktemp("reviews"), modality="text")


def test_what_came_from_datasets_goes_back_there(reviews: tuple[Path, Path], tmp_path: Path) -> None:
    assert export(*reviews, tmp_path / "out") == {"train": 24, "validation": 8, "test": 8}  # without the duplicate
    found = datasets.load_from_disk(str(tmp_path / "out"))
    assert list(found) == ["train", "validation", "test"]
    for split, rows in _splits(TEXTS, _review).items():
        assert found[split].select_columns(["text", "label"])[:] == rows[:]
        assert found[split].features["label"] == rows.features["label"]
    assert found["test"].split == "test"
    assert found["train"].filter(lambda one: one["label"] == 1).num_rows == 12  # it is worked with as any other


def test_what_the_model_is_given(reviews: tuple[Path, Path], tmp_path: Path) -> None:
    prepared, _ = reviews
    export(prepared, None, tmp_path / "out", "prepared")
    found = datasets.load_from_disk(str(tmp_path / "out"))
    assert found["train"].features["target"].names == list(PreparedManifest.read(prepared).signature.labels)
    assert all(isinstance(one, int) for one in found["train"][0]["input_ids"])


def test_images_keep_their_files(tmp_path: Path) -> None:
    saved = _splits(PICTURES, _picture)
    image = {"column": "image", "height": 8, "width": 8}
    export(*_prepared(saved, tmp_path, modality="image", image=image), tmp_path / "out")
    found = datasets.load_from_disk(str(tmp_path / "out"))["test"]
    assert found.features["image"] == datasets.Image()
    assert np.array_equal(np.asarray(found[0]["image"]), np.asarray(saved["test"][0]["image"]))
    again = datasets.load_from_disk(str(tmp_path / "out")).cast_column("image", datasets.Image(decode=False))
    assert again["test"][0]["image"]["bytes"] == _picture(32)["image"]["bytes"]


def test_what_cannot_be_written_is_told(reviews: tuple[Path, Path], tmp_path: Path) -> None:
    prepared, raw = reviews
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    with pytest.raises(StageError, match="there is something already"):
        export(prepared, raw, tmp_path / "full")
    with pytest.raises(StageError, match="the raw data that these were prepared from are not in the workspace"):
        export(prepared, None, tmp_path / "out")
    manifest = PreparedManifest.read(prepared)
    manifest.write(tmp_path)
    with pytest.raises(StageError, match="are no table of rows"):
        export(tmp_path, raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_finds_the_newest_run(reviews: tuple[Path, Path], tmp_path: Path) -> None:
    prepared, raw = reviews
    run = tmp_path / ".runwright" / "reviews"
    (run / "artifacts" / "run-1" / "data").mkdir(parents=True)
    (run / "progress.jsonl").touch()
    for name, folder in (("prepared_data", prepared), ("raw_data", raw)):
        (run / "artifacts" / "run-1" / "data" / name).symlink_to(folder)
    done = CliRunner().invoke(command, [str(run), "--to", str(tmp_path / "out")])
    assert done.output.splitlines()[0] == "train: 24 rows, validation: 8 rows, test: 8 rows"
    assert datasets.load_from_disk(str(tmp_path / "out"))["test"].num_rows == 8
