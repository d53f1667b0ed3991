"""Which files of a repository on the hub belong to a configuration and a split."""

import pytest

from runwright_components.collect.hub_layout import Wanted, data_files
from runwright_components.contract.outcome import Reason, StageError

CARD = """---
license: mit
configs:
- config_name: plain
  default: true
  data_files:
  - {split: train, path: data/train-*.parquet}
  - {split: test, path: [data/test-00000.parquet, "extra/**"]}
- config_name: folder
  data_dir: other
- config_name: mapped
  data_files: {train: "a/*.csv", dev: "a/dev/*.csv"}
- config_name: one
  data_files: a/x.csv
---
# A dataset
"""
FILES = [
    "README.md",
    ".gitattributes",
    "loader.py",
    "data/train-00000.parquet",
    "data/train-00001.parquet",
    "data/test-00000.parquet",
    "extra/deep/more.parquet",
    "other/train.csv",
    "other/test.csv",
    "a/x.csv",
    "a/dev/y.csv",
]


def chosen(files, readme="", config=None, split=None):
    return data_files(files, readme, Wanted("hf://datasets/acme/x", config, split))


def refusal(files, readme="", config=None, split=None):
    with pytest.raises(StageError) as caught:
        chosen(files, readme, config, split)
    assert caught.value.where == "hf://datasets/acme/x"
    assert caught.value.cure
    return caught.value


@pytest.mark.parametrize(
    ("config", "split", "files"),
    [
        (None, "train", ["data/train-00000.parquet", "data/train-00001.parquet"]),
        ("plain", "test", ["data/test-00000.parquet", "extra/deep/more.parquet"]),
        (None, None, [*FILES[3:7]]),
        ("folder", "test", ["other/test.csv"]),
        ("mapped", "train", ["a/x.csv"]),
        ("mapped", "dev", ["a/dev/y.csv"]),
        ("one", None, ["a/x.csv"]),
    ],
)
def test_by_the_metadata(config, split, files):
    assert chosen(FILES, CARD, config, split) == sorted(files)


def test_windows_lines_and_a_byte_order_mark():
    assert chosen(FILES, "\ufeff" + CARD.replace("\n", "\r\n"), "one") == ["a/x.csv"]


@pytest.mark.parametrize(
    ("files", "split", "expected"),
    [
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"], "train", [0, 1]),
        (["data/train-00000-of-00001.parquet", "data/hard-00000-of-00001.parquet"], "hard", [1]),
        (["train.csv", "my_test_file.csv", "valid.csv"], "test", [1]),
        (["train.csv", "my_test_file.csv", "dev.csv"], "validation", [2]),
        (["data/train/a.jsonl", "data/evaluation/a.jsonl"], "test", [1]),
        (["contest.csv", "trainee.csv"], "train", [0, 1]),
        (["rows.csv"], "train", [0]),
        (["train.csv", "test.csv", "notes.csv"], None, [0, 1]),
        (["rows.csv", ".hidden/rows.csv", "__pycache__/rows.csv", "model.pkl", "archive.tar"], None, [0]),
    ],
)
def test_by_names(files, split, expected):
    assert chosen(files, split=split) == sorted(files[index] for index in expected)


def test_the_hubs_own_conversion_to_parquet():
    files = ["default/train/0000.parquet", "default/test/0000.parquet", "large/train/0000.parquet"]
    assert chosen(files) == sorted(files[:2])
    assert chosen(files, config="large", split="train") == [files[2]]


@pytest.mark.parametrize(
    ("readme", "config", "split", "said"),
    [
        (CARD, "nope", None, "its configurations are folder, mapped, one, plain"),
        (CARD, None, "nope", "its splits are test, train"),
        (CARD.replace("  default: true\n", ""), None, None, "set huggingFace.config to one of folder, mapped, one"),
        ("", "nope", None, "its folders are a, data, extra, other"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(readme, config, split, said):
    error = refusal(FILES, readme, config, split)
    assert error.reason is Reason.INVALID_CONFIG
    assert said in error.cure


def test_a_dataset_that_a_program_makes_is_not_run():
    error = refusal(["README.md", "imdb.py"])
    assert error.reason is Reason.UNSUPPORTED
    assert "imdb.py, which is not run" in error.message
    assert "refs/convert/parquet" in error.cure


def test_no_rows_at_all():
    assert refusal(["README.md", "weights.pkl"]).reason is Reason.SOURCE_NOT_FOUND


def test_metadata_that_are_no_yaml():
    assert refusal(FILES, "---\nconfigs: [\n---\n").reason is Reason.DATA_UNREADABLE


@pytest.mark.parametrize("readme", ["---\n- 1\n---\n", "---\nconfigs: 3\n---\n", "no metadata", "---\n\n---\n"])
def test_metadata_without_configurations(readme):
    assert chosen(["train.csv"], readme) == ["train.csv"]


def test_a_form_that_nobody_describes():
    error = refusal(FILES, "---\nconfigs:\n- {config_name: a, data_files: 3}\n---\n")
    assert "data_files of README.md" in error.message


def test_a_pattern_cannot_leave_the_repository():
    card = "---\nconfigs:\n- {config_name: a, data_files: ../../etc/*.csv}\n---\n"
    assert refusal(["train.csv"], card).reason is Reason.SOURCE_NOT_FOUND
