"""Datasets of the Hugging Face Hub, from a double of its API; from the hub itself with RUNWRIGHT_TEST_HF_DATASET."""

import io
import json
import os
import socket

import polars as pl
import pyarrow as pa
import pytest

from runwright_components.collect import fingerprint
from runwright_components.contract.config import HubConfig
from runwright_components.contract.outcome import ExitCode, Reason
from tests.doubles.hub import commit, hub

NAME = "acme/reviews"
URI = f"hf://datasets/{NAME}"


def parquet(*rows):
    content = io.BytesIO()
    pl.DataFrame({"text": list(rows)}).write_parquet(content)
    return content.getvalue()


FILES = {
    "README.md": b"---\nconfigs:\n- config_name: default\n  data_files:\n"
    b"  - {split: train, path: data/train-*}\n  - {split: test, path: data/test-*}\n---\n# Reviews\n",
    "data/train-00000-of-00002.parquet": parquet("good", "bad"),
    "data/train-00001-of-00002.parquet": parquet("fine"),
    "data/test-00000-of-00001.parquet": parquet("well"),
    "reviews.py": b"raise SystemExit('run')",
    "cache.pkl": b"\x80\x04cos\nsystem\n.",
}


@pytest.fixture
def here(monkeypatch):
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def options(**given):
    return {"hub": HubConfig(dataset=NAME, **given)}


def test_a_split_of_a_dataset(workplace, here):
    here.add(NAME, FILES, large=frozenset({"data/train-00001-of-00002.parquet"}))
    manifest = workplace.collect(URI, **options(split="train"))
    assert [row["text"] for row in workplace.rows(manifest)] == ["good", "bad", "fine"]
    assert (manifest.sources[0].uri, manifest.sources[0].files) == (URI, 2)
    asked = {path.rpartition("/")[2] for _, path, _ in here.seen}
    assert not asked & {"reviews.py", "cache.pkl", "test-00000-of-00001.parquet"}, "nothing else is brought"
    assert any(event.message == "download source-0" for event in workplace.events)


def test_all_splits(workplace, here):
    here.add(NAME, FILES)
    assert workplace.collect(URI, **options()).rows == 4


def test_a_revision_is_a_branch_or_a_commit(workplace, here):
    old = {"train.csv": b"text\nold\n"}
    here.add(NAME, FILES).revisions |= {"v1": old, "refs/convert/parquet": {"default/train/0000.parquet": parquet("c")}}
    for number, (revision, rows) in enumerate(
        [("v1", ["old"]), (commit(old), ["old"]), ("refs/convert/parquet", ["c"])]
    ):
        workplace.out = workplace.out.with_name(f"raw-{number}")
        manifest = workplace.collect(URI, **options(revision=revision))
        assert [row["text"] for row in workplace.rows(manifest)] == rows


def test_class_folders_below_a_split(workplace, here):
    here.add(NAME, {f"train/{label}/{number}.txt": b"x" for label in ("good", "bad") for number in (1, 2)})
    manifest = workplace.collect(URI, format="text", **options(split="train"))
    assert [row["label"] for row in workplace.rows(manifest)] == ["bad", "bad", "good", "good"]


def test_the_token_opens_a_private_dataset_and_goes_nowhere_else(workplace, here, monkeypatch):
    here.add(NAME, FILES, token="hf_s3cr3t", large=frozenset({"data/test-00000-of-00001.parquet"}))
    error = workplace.refusal(URI, **options(split="test"))
    assert (error.reason, error.where) == (Reason.SOURCE_NOT_FOUND, URI)
    assert "HF_TOKEN" in error.cure
    monkeypatch.setenv("HF_TOKEN", "hf_s3cr3t")
    manifest = workplace.collect(URI, **options(split="test"))
    assert manifest.rows == 1
    assert "s3cr3t" not in manifest.model_dump_json()
    stored = [token for _, path, token in here.seen if path.startswith("/cdn/")]
    assert stored
    assert not any(stored), "the store of large files is another host"


def test_a_wrong_token(workplace, here, monkeypatch):
    here.add(NAME, FILES, token="hf_s3cr3t")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    error = workplace.refusal(URI, **options())
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "hf_wrong" not in error.to_json()


def test_a_gated_dataset(workplace, here):
    here.add(NAME, FILES, gated=True)
    error = workplace.refusal(URI, **options())
    assert error.reason is Reason.SOURCE_DENIED
    assert "accept its terms" in error.cure


def test_no_such_revision(workplace, here):
    here.add(NAME, FILES)
    error = workplace.refusal(URI, **options(revision="v9"))
    assert (error.reason, error.where) == (Reason.SOURCE_NOT_FOUND, f"{URI}@v9")
    assert "it has no revision v9" in error.message


def test_no_such_split(workplace, here):
    here.add(NAME, FILES)
    error = workplace.refusal(URI, **options(split="dev"))
    assert error.cure == "its splits are test, train"


def test_the_hub_is_away(workplace, here, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    error = workplace.refusal(URI, **options())
    assert error.exit_code is ExitCode.TRANSIENT
    assert "HF_ENDPOINT" in error.cure


def test_the_fingerprint_follows_the_files_that_are_read(here, workplace):
    repository = here.add(NAME, FILES)
    config = workplace.config(URI, **options(split="train"))
    first = fingerprint(config)
    assert fingerprint(config) == first
    repository.revisions["main"] = {**FILES, "data/test-00000-of-00001.parquet": parquet("other")}
    assert fingerprint(config) == first, "another split changed"
    repository.revisions["main"] = {**FILES, "data/train-00001-of-00002.parquet": parquet("other")}
    assert fingerprint(config) != first


@pytest.mark.parametrize(("uri", "format"), [("saved/*.arrow", None), ("saved", "arrow")])
def test_a_folder_that_datasets_saved(workplace, uri, format):
    """The layout of `save_to_disk`: streams of Arrow beside two descriptions in JSON."""
    table = pa.table({"text": ["good", "bad"], "label": [1, 0]})
    (workplace.sources / "saved").mkdir()
    names = ("data-00000-of-00002.arrow", "data-00001-of-00002.arrow")
    for name in names:
        with pa.ipc.new_stream(workplace.sources / "saved" / name, table.schema) as stream:
            stream.write_table(table)
    state = json.dumps({"_data_files": [{"filename": name} for name in names], "_split": "train"})
    workplace.write({"saved/state.json": state, "saved/dataset_info.json": "{}"})
    assert workplace.collect(uri, format=format).rows == 4


def test_a_whole_dataset(workplace, request):
    """Of the real hub where RUNWRIGHT_TEST_HF_DATASET names one; else of the double."""
    dataset = os.environ.get("RUNWRIGHT_TEST_HF_DATASET")
    if dataset is None:
        request.getfixturevalue("here").add(NAME, FILES)
    assert workplace.collect(URI, hub=HubConfig(dataset=dataset or NAME)).rows > 0
