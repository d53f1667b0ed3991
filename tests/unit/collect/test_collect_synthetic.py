"""Made rows: the same for the same fields on every machine, a shard at a time, and something to learn in them."""

import hashlib
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from runwright_components.collect import collect, fingerprint, synthetic
from runwright_components.contract.config import CollectConfig, Source, SyntheticConfig
from runwright_components.contract.progress import silent


def make(tmp_path, **fields):
    config = SyntheticConfig(**fields)
    source = Source(name="made", uri=f"synthetic://{config.kind}", synthetic=config)
    out = tmp_path / f"raw-{len(list(tmp_path.iterdir()))}"
    manifest = collect(CollectConfig(sources=(source,)), out=out, progress=silent())
    return manifest, pl.concat([pl.read_parquet(out / name) for name in manifest.files])


def digest(frame):
    """Of the values, not of the file, whose form is Polars' business."""
    text = "\n".join(repr(row) for row in frame.iter_rows())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("fields", "columns", "values"),
    [
        (
            {"kind": "classification", "features": 2},
            {"x0": "Float32", "x1": "Float32", "group": "String"},
            "01d9f3d7a3eac9b7",
        ),
        ({"kind": "regression", "features": 1, "seed": 7}, {"x0": "Float32", "group": "String"}, "6a8e5408944c96f7"),
        ({"kind": "text", "classes": 2}, {"text": "String"}, "6e7dd454ea1913a8"),
        ({"kind": "images", "rows": 20}, {"image": "Binary"}, "d536f0578b1af297"),
    ],
)
def test_rows_are_the_same_everywhere(tmp_path, fields, columns, values):
    """The digests were written down once: another machine, Python or numpy must give the same."""
    manifest, frame = make(tmp_path, **fields)
    target = {"target": "Float64"} if fields["kind"] == "regression" else {"label": "String"}
    assert manifest.columns == columns | target
    assert manifest.rows == len(frame) == fields.get("rows", 1000)
    assert digest(frame) == values


def test_digest_follows_the_fields(tmp_path):
    first, _ = make(tmp_path, kind="text", rows=10)
    again, _ = make(tmp_path, kind="text", rows=10)
    other, _ = make(tmp_path, kind="text", rows=10, seed=1)
    assert first.digest == again.digest != other.digest
    config = CollectConfig(
        sources=(Source(name="made", uri="synthetic://text", synthetic=SyntheticConfig(kind="text")),)
    )
    assert fingerprint(config) == fingerprint(config)


@pytest.mark.parametrize("kind", ["classification", "regression", "images", "text"])
def test_shards_bound_the_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(synthetic, "SHARD_ROWS", 8)
    monkeypatch.setattr(synthetic, "SHARD_IMAGES", 8)
    told = []
    paths = synthetic.write_rows(
        SyntheticConfig(kind=kind, rows=20), lambda: tmp_path / f"{len(told)}.parquet", told.append
    )
    assert told == [8, 8, 4]
    shards = [pl.read_parquet(path) for path in paths]
    assert not shards[0].equals(shards[1])


def test_classes_can_be_told_apart(tmp_path):
    _, frame = make(tmp_path, kind="classification", rows=2000, noise=0.0)
    names = sorted(frame["label"].unique())
    assert names == ["class-0", "class-1", "class-2"]
    values = frame.select(pl.col("^x\\d+$")).to_numpy()
    labels = frame["label"].to_numpy()
    middles = np.stack([values[labels == name].mean(axis=0) for name in names])
    nearest = np.argmin(((values[:, None] - middles) ** 2).sum(axis=2), axis=1)
    assert np.mean([names[index] for index in nearest] == labels) > 0.9


def test_noise_mistakes_labels(tmp_path):
    clean = make(tmp_path, kind="classification", rows=2000, noise=0.0)[1]["label"]
    noisy = make(tmp_path, kind="classification", rows=2000, noise=0.6)[1]["label"]
    assert 0.3 < (clean != noisy).mean() < 0.5  # two of three draws are another class


def test_a_target_is_a_function_of_the_columns(tmp_path):
    _, frame = make(tmp_path, kind="regression", rows=500, features=4, noise=0.0)
    x = frame.select(pl.col("^x\\d+$")).to_numpy().astype(float)
    groups = frame["group"].to_dummies().to_numpy()
    inputs = np.hstack([x, x[:, :1] * x[:, -1:], groups])
    fitted = inputs @ np.linalg.lstsq(inputs, frame["target"].to_numpy(), rcond=None)[0]
    assert np.allclose(fitted, frame["target"].to_numpy(), atol=1e-4)


def test_images_are_images(tmp_path):
    _, frame = make(tmp_path, kind="images", rows=12, classes=2)
    sizes = {Image.open(io.BytesIO(content)).size for content in frame["image"]}
    assert sizes == {(32, 32)}
    assert set(frame["label"]) == {"class-0", "class-1"}
