"""Files are whole or absent."""

import json
from pathlib import Path

import pytest

from runwright_components.contract.files import (
    canonical_json,
    files_digest,
    folder_files,
    link_or_copy,
    new_folder,
    verify_files,
    write_bytes,
    write_json,
)
from runwright_components.contract.outcome import ExitCode, Reason, StageError


def test_a_written_file_leaves_no_temporary_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"b": 1, "a": [1.5, None]})
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"a": [1.5, None], "b": 1}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_bytes(target, b"old")
    with pytest.raises(TypeError):
        write_bytes(target, "text")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_appears_only_when_its_block_ended_well(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), new_folder(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with new_folder(target) as folder:
        (folder / "whole").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["whole"]


def test_a_new_folder_replaces_an_empty_one_and_never_a_full_one(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with new_folder(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(OSError), new_folder(target) as folder:
        (folder / "a").write_text("2")
    assert (target / "a").read_text() == "1"


def test_a_full_disk_has_a_reason_and_a_cure(tmp_path: Path) -> None:
    with (
        pytest.raises(StageError) as caught,
        new_folder(tmp_path / "out"),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")
    assert caught.value.reason is Reason.STORAGE_FULL
    assert caught.value.exit_code is ExitCode.TRANSIENT
    assert "--workspace" in caught.value.cure


def test_digests_do_not_depend_on_order_and_see_every_byte(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_text("2")
    files = folder_files(tmp_path)
    assert list(files) == ["a", "sub/b"]
    assert files_digest(files) == files_digest(dict(reversed(files.items())))
    verify_files(tmp_path, files)
    (tmp_path / "sub" / "b").write_text("3")
    with pytest.raises(StageError, match="sub/b was altered") as caught:
        verify_files(tmp_path, files)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    (tmp_path / "sub" / "b").unlink()
    with pytest.raises(StageError, match="sub/b is missing"):
        verify_files(tmp_path, files)


def test_linked_files_share_their_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    link_or_copy(tmp_path / "a", tmp_path / "x" / "b")
    assert (tmp_path / "x" / "b").read_text() == "1"
    assert (tmp_path / "a").samefile(tmp_path / "x" / "b")


def test_json_has_one_form_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == b'{\n  "a": "\xc3\xa9",\n  "b": 1\n}\n'
    with pytest.raises(ValueError):
        canonical_json(float("nan"))
