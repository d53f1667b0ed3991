"""Results of unchanged stages are reused, and nothing else is."""

import os
from pathlib import Path

import pytest

from runwright_components.cache import ResultCache, cache_key

KEY = "a" * 64


def _make(folder: Path) -> dict[str, Path]:
    (folder / "model" / "inner").mkdir(parents=True)
    (folder / "model" / "manifest.json").write_text('{"digest": "x"}')
    (folder / "model" / "inner" / "weights").write_bytes(b"w" * 100)
    (folder / "page").write_text("<html>")
    return {"model": folder / "model", "page": folder / "page"}


def _targets(folder: Path) -> dict[str, Path]:
    return {"model": folder / "model", "page": folder / "page"}


def test_what_was_put_is_taken_as_the_same_files(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    outputs = _make(tmp_path / "one")
    cache.put("train", KEY, outputs)
    taken = _targets(tmp_path / "two")
    assert cache.take("train", KEY, taken)
    assert (taken["model"] / "inner" / "weights").read_bytes() == b"w" * 100
    assert taken["page"].read_text() == "<html>"
    assert taken["page"].stat().st_ino == outputs["page"].stat().st_ino


def test_another_key_or_stage_or_set_of_outputs_is_not_there(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    cache.put("train", KEY, _make(tmp_path / "one"))
    taken = _targets(tmp_path / "two")
    assert not cache.take("train", "b" * 64, taken)
    assert not cache.take("evaluate", KEY, taken)
    assert not cache.take("train", KEY, {"model": taken["model"]})
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("altered", ["model/manifest.json", "model/inner/weights"])
def test_an_artifact_that_was_altered_in_place_is_not_reused(tmp_path: Path, altered: str) -> None:
    cache = ResultCache(tmp_path / "cache")
    _make(tmp_path / "one")
    cache.put("train", KEY, _targets(tmp_path / "one"))
    path = tmp_path / "one" / altered
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")  # the same size; the cache has the very same file
    assert not cache.take("train", KEY, _targets(tmp_path / "two"))
    assert not cache.take("train", KEY, _targets(tmp_path / "two")), "the entry is gone"


def test_an_altered_small_file_is_found_even_with_its_old_time(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    _make(tmp_path / "one")
    cache.put("train", KEY, _targets(tmp_path / "one"))
    path = tmp_path / "one" / "model" / "manifest.json"
    status = path.stat()
    path.write_text('{"digest": "y"}')
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not cache.take("train", KEY, _targets(tmp_path / "two"))


def test_a_file_that_is_missing_in_the_entry(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    cache.put("train", KEY, _make(tmp_path / "one"))
    (tmp_path / "cache" / "train" / KEY / "model" / "inner" / "weights").unlink()
    assert not cache.take("train", KEY, _targets(tmp_path / "two"))


def test_a_torn_entry_is_no_entry(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    cache.put("train", KEY, _make(tmp_path / "one"))
    entry = tmp_path / "cache" / "train" / KEY / "entry.json"
    entry.write_bytes(entry.read_bytes()[:20])
    assert not cache.take("train", KEY, _targets(tmp_path / "two"))


def test_a_put_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    outputs = _make(tmp_path / "one")
    with pytest.raises(OSError):
        cache.put("train", KEY, {**outputs, "zzz": tmp_path / "not there"})
    assert list((tmp_path / "cache" / "train").iterdir()) == []


def test_only_the_newest_entries_of_a_stage_stay(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache", keep=2)
    outputs = _make(tmp_path / "one")
    keys = [digit * 64 for digit in "123"]
    for order, key in enumerate(keys[:2]):
        cache.put("train", key, outputs)
        os.utime(tmp_path / "cache" / "train" / key, (order, order))
    cache.take("train", keys[0], _targets(tmp_path / "two"))  # used last, so the other is the older one
    cache.put("evaluate", keys[0], outputs)
    cache.put("train", keys[2], outputs)
    assert {path.name for path in (tmp_path / "cache" / "train").iterdir()} == {keys[0], keys[2]}
    assert (tmp_path / "cache" / "evaluate" / keys[0]).is_dir()


def test_the_key_depends_on_everything_that_decides_the_result() -> None:
    inputs = {"prepared": "sha256:1", "model": "sha256:2"}
    key = cache_key("train", config="c", inputs=inputs, version="1")
    assert key == cache_key("train", config="c", inputs=dict(reversed(inputs.items())), version="1")
    others = {
        cache_key("evaluate", config="c", inputs=inputs, version="1"),
        cache_key("train", config="d", inputs=inputs, version="1"),
        cache_key("train", config="c", inputs={**inputs, "model": "sha256:3"}, version="1"),
        cache_key("train", config="c", inputs=inputs, version="2"),
    }
    assert len({key, *others}) == 5
