"""Images from files' bytes to pixels."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from runwright_components.contract.artifacts import Lineage, PreparedManifest, RawManifest
from runwright_components.contract.config import ImageRules, PrepareConfig, SplitRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.features import Preprocessing, load_split
from runwright_components.features import image as features
from runwright_components.prepare import image as stage
from runwright_components.prepare import prepare
from runwright_components.prepare.quality import Quality

Rows = dict[str, list[Any]]


def png(pixels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(file, "PNG", **options)
    return file.getvalue()


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[Rows], Path]:
    """Write raw data as collect does, in two files."""

    def write(columns: Rows) -> Path:
        folder = tmp_path / "raw"
        (folder / "data").mkdir(parents=True)
        frame = pl.DataFrame(columns)
        half = len(frame) // 2
        for number, part in enumerate((frame[:half], frame[half:])):
            part.write_parquet(folder / "data" / f"{number}.parquet")
        RawManifest(
            digest="sha256:raw",
            rows=len(frame),
            columns={name: str(kind) for name, kind in frame.schema.items()},
            sources=(),
            files=("data/0.parquet", "data/1.parquet"),
            lineage=Lineage(stage="collect", config="sha256:0"),
        ).write(folder)
        return folder

    return write


@pytest.fixture
def stripes() -> Rows:
    """160 distinct colour images of 12 x 10 pixels with stripes that lie or stand."""
    random = np.random.default_rng(0)
    images, labels = [], []
    for number in range(160):
        pixels = random.integers(0, 100, (10, 12, 3))
        if number % 2:
            pixels[::2] += 150
        else:
            pixels[:, ::2] += 150
        images.append(png(pixels))
        labels.append("lying" if number % 2 else "standing")
    return {"image": images, "label": labels, "path": [f"{label}/{n:03}.png" for n, label in enumerate(labels)]}


def config(**changes: Any) -> PrepareConfig:
    image = changes.pop("image", ImageRules(height=8, width=8, channels=3))
    split = changes.pop("split", SplitRules(strategy="stratified"))
    return PrepareConfig(modality="image", task="classification", target="label", image=image, split=split, **changes)


def run(rules: PrepareConfig, source: Path, out: Path) -> tuple[PreparedManifest, Quality]:
    manifest = prepare(rules, raw=source, out=out, progress=silent())
    return manifest, Quality.read(out, "quality.json")


def refused(rules: PrepareConfig, source: Path, out: Path) -> StageError:
    with pytest.raises(StageError) as caught:
        prepare(rules, raw=source, out=out, progress=silent())
    assert not out.exists()
    assert caught.value.cure
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return caught.value


@pytest.mark.parametrize("channels", [1, 3])
def test_splits_hold_what_the_served_model_will_read(raw, stripes, tmp_path, channels):
    rules = config(image=ImageRules(height=8, width=6, channels=channels))
    manifest, quality = run(rules, raw(stripes), tmp_path / "out")
    assert manifest.rows == {"train": 112, "validation": 24, "test": 24}
    assert manifest.class_counts == (56, 56)
    assert manifest.signature.labels == ("lying", "standing")
    assert manifest.signature.ignored == ("label", "path")
    assert manifest.signature.tensors[0].shape == (None, channels, 8, 6)
    split = load_split(tmp_path / "out", "test")
    rows = pl.read_parquet(tmp_path / "out" / "test.raw.parquet")
    preprocessing = Preprocessing.load(tmp_path / "out" / "preprocessing")
    pixels = preprocessing.transform(rows)["pixels"]
    assert rows["row_id"].to_list() == split.row_id.tolist()
    assert split.inputs["pixels"].dtype == np.uint8
    assert (pixels.dtype, pixels.shape) == (np.float32, (24, channels, 8, 6))
    np.testing.assert_array_equal(pixels, split.inputs["pixels"].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(preprocessing.target(rows), split.target)
    assert quality.rows_in == quality.rows_out == 160
    assert not list((tmp_path / "out").glob(".*"))


def test_mean_and_deviation_are_those_of_the_training_split(raw, stripes, tmp_path):
    run(config(), raw(stripes), tmp_path / "out")
    state = json.loads((tmp_path / "out" / "preprocessing" / "state.json").read_bytes())
    train = load_split(tmp_path / "out", "train").inputs["pixels"] / 255
    np.testing.assert_allclose(state["image"]["mean"], train.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(state["image"]["std"], train.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_constant_channel_has_deviation_one(raw, stripes, tmp_path):
    stripes["image"] = [png(np.dstack([np.full((4, 4, 2), 255), np.full((4, 4), n)])) for n in range(160)]
    run(config(), raw(stripes), tmp_path / "out")
    state = json.loads((tmp_path / "out" / "preprocessing" / "state.json").read_bytes())
    assert state["image"]["mean"][:2] == [1.0, 1.0]
    assert state["image"]["std"][:2] == [1.0, 1.0]


def test_the_same_data_give_the_same_bytes_in_batches_of_any_size(raw, stripes, tmp_path, monkeypatch):
    source = raw(stripes)
    first, _ = run(config(), source, tmp_path / "first")
    monkeypatch.setattr(stage, "_BATCH", 7)
    monkeypatch.setattr(stage, "_PART_BYTES", 1000)
    second, _ = run(config(), source, tmp_path / "second")
    assert first.digest == second.digest


def test_the_example_row_can_be_sent(raw, stripes, tmp_path):
    manifest, _ = run(config(), raw(stripes), tmp_path / "out")
    example = manifest.signature.example
    assert isinstance(example["image"], str)
    with Image.open(io.BytesIO(base64.b64decode(example["image"]))) as image:
        assert (image.format, image.size) == ("PNG", (8, 8))
    pixels = Preprocessing.load(tmp_path / "out" / "preprocessing").transform(pl.DataFrame([example]))["pixels"]
    train = load_split(tmp_path / "out", "train").inputs["pixels"]
    np.testing.assert_array_equal(pixels[0], train[0].astype(np.float32) / np.float32(255))


def test_copies_by_pixels_are_dropped_and_conflicts_are_told(raw, stripes, tmp_path):
    with Image.open(io.BytesIO(stripes["image"][0])) as image:
        bigger = png(np.asarray(image), compress_level=0)
    assert bigger != stripes["image"][0]
    stripes["image"] += [bigger, stripes["image"][2]]
    stripes["label"] += ["standing", "lying"]
    stripes["path"] += ["standing/copy.png", "lying/conflict.png"]
    _, quality = run(config(), raw(stripes), tmp_path / "out")
    assert (quality.duplicates.found, quality.duplicates.dropped) == (1, 1)
    assert quality.duplicates.sample[0]["row_id"] == 160
    assert any("row 2: standing, row 161: lying" in each for each in quality.warnings)


def test_rows_without_image_or_label_are_dropped_and_counted(raw, stripes, tmp_path):
    stripes["image"] += [None, stripes["image"][0]]
    stripes["label"] += ["lying", None]
    stripes["path"] += ["lying/none.png", "none.png"]
    _, quality = run(config(), raw(stripes), tmp_path / "out")
    assert [(each.reason, each.samples) for each in quality.dropped] == [("no image", (160,)), ("no target", (161,))]


def test_base64_in_a_table_reads_like_bytes(raw, stripes, tmp_path):
    first, _ = run(config(), raw(stripes), tmp_path / "bytes")
    stripes["image"] = [base64.b64encode(each).decode() for each in stripes["image"]]
    (tmp_path / "raw").rename(tmp_path / "old")
    second, _ = run(config(), raw(stripes), tmp_path / "text")
    assert first.rows == second.rows
    splits = [load_split(tmp_path / name, "train").inputs["pixels"] for name in ("bytes", "text")]
    np.testing.assert_array_equal(splits[0], splits[1])


def test_the_report_tells_of_modes_and_sizes(raw, stripes, tmp_path):
    stripes["image"][0] = png(np.zeros((30, 90)))
    _, quality = run(config(), raw(stripes), tmp_path / "out")
    content = next(column for column in quality.columns if column.name == "image")
    assert [(each.rows, each.note) for each in content.repairs] == [(1, "mode L became RGB")]
    assert any("1 images change their sides' ratio" in each for each in quality.warnings)
    width = next(each.summary for each in quality.measures if each.name == "width")
    assert (width.min, width.max) == (12, 90)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the 0 bytes are not an image"),
        (b"GIF89a but not really", "not an image"),
        (png(np.random.default_rng(0).integers(0, 255, (40, 40, 3)))[:-900], "the image is damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_a_corrupt_image_is_refused_by_its_path(raw, stripes, tmp_path, content, says):
    stripes["image"][70] = content
    error = refused(config(), raw(stripes), tmp_path / "out")
    assert error.reason is Reason.DATA_UNREADABLE
    assert error.where == stripes["path"][70]
    assert says in error.message


def test_without_paths_a_corrupt_image_is_named_by_its_row(raw, stripes, tmp_path):
    del stripes["path"]
    stripes["image"][130] = b"?"
    assert refused(config(), raw(stripes), tmp_path / "out").where == "row 130"


def test_a_huge_image_is_refused_by_its_header(raw, stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "MAX_PIXELS", 1000)
    stripes["image"][3] = png(np.zeros((40, 30)))
    error = refused(config(), raw(stripes), tmp_path / "out")
    assert "the image has 30 x 40 pixels, more than 1,000" in error.message
    assert error.where == stripes["path"][3]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.update(label=["lying"] * 160), "single class 'lying'"),
        (lambda rows: rows.update(photo=rows.pop("image")), "no column 'image'"),
        (lambda rows: rows.update(image=list(range(160))), "holds Int64, not images"),
        (lambda rows: rows.update(image=rows["path"]), "not base64 of an image: 'standing/000.png'"),
        (lambda rows: rows.update(image=[None] * 160), "all 160 rows are without image"),
        (lambda rows: rows.pop("label"), "no column 'label'"),
    ],
)
def test_data_that_cannot_be_learned_from_are_refused(raw, stripes, tmp_path, change, says):
    change(stripes)
    assert says in refused(config(), raw(stripes), tmp_path / "out").message


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """An encoder's folder as far as prepare reads it."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    settings = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def test_a_pretrained_encoder_brings_its_normalization(
    raw: Callable[[Rows], Path], stripes: Rows, encoder: Path, tmp_path: Path
) -> None:
    rules = config(pretrained="encoder", base=str(encoder.parent))
    manifest, _ = run(rules, raw(stripes), tmp_path / "out")
    state = json.loads((tmp_path / "out" / "preprocessing" / "state.json").read_bytes())["image"]
    assert (state["mean"], state["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert set(manifest.lineage.inputs) == {"raw", "preprocessor"}


@pytest.mark.parametrize(
    ("content", "image", "message", "cure"),
    [
        (None, {}, "preprocessor_config.json, which says", "copy preprocessor_config.json"),
        ('{"image_mean": [0.5]}', {}, "preprocessor_config.json, which says", "image_mean and image_std"),
        (
            '{"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}',
            {"channels": 1},
            "takes images of 3 channels, prepared are 1",
            "set it to 3",
        ),
    ],
)
def test_a_pretrained_encoder_without_usable_normalization_is_refused(
    raw: Callable[[Rows], Path],
    stripes: Rows,
    encoder: Path,
    tmp_path: Path,
    content: str | None,
    image: dict[str, Any],
    message: str,
    cure: str,
) -> None:
    path = encoder / "preprocessor_config.json"
    path.unlink() if content is None else path.write_text(content)
    rules = config(
        pretrained="encoder",
        base=str(encoder.parent),
        image=ImageRules.model_validate({"height": 8, "width": 8, "channels": 3, **image}),
    )
    with pytest.raises(StageError, match=message) as caught:
        run(rules, raw(stripes), tmp_path / "out")
    assert cure in caught.value.cure
