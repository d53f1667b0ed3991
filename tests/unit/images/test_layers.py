"""Layers: the same content gives the same bytes, and is built once."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from images.archive import CHUNK, pack
from images.layers import UNUSED_DAYS, Part, Store, key_of

PART = Part("zlib", "1.2", "pkg:deb/debian/zlib@1.2", ("Zlib",))


def tree(folder: Path, *, time: int = 1_700_000_000) -> Path:
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "usr/bin/tool").write_bytes(b"#!" + bytes(CHUNK))
    (folder / "usr/bin/tool").chmod(0o6777)
    (folder / "usr/notes").write_text("text")
    (folder / "usr/notes").chmod(0o666)
    (folder / "usr/bin/alias").symlink_to("tool")
    for path in folder.rglob("*"):
        os.utime(path, (time, time), follow_symlinks=False)
    return folder


def packed(folder: Path) -> tuple[dict[str, object], bytes]:
    file = io.BytesIO()
    return pack(folder, file), file.getvalue()


def test_an_archive_depends_on_names_contents_and_executable_bits_alone(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b", time=1)
    assert packed(first) == packed(second)
    (second / "usr/notes").chmod(0o700)
    assert packed(first) != packed(second)


def test_an_archive_is_roots_and_nothing_in_it_is_setuid_or_writable_by_all(tmp_path: Path) -> None:
    _, data = packed(tree(tmp_path / "tree"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive}
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members.values()} == {(0, 0, 0, "")}
    modes = {name: member.mode for name, member in members.items() if not member.issym()}
    assert modes == {"tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/bin/tool": 0o755, "usr/notes": 0o644}
    assert members["usr/bin/alias"].linkname == "tool"


def test_sums_are_those_of_the_archive_compressed_and_not(tmp_path: Path) -> None:
    sums, data = packed(tree(tmp_path / "tree"))
    plain = gzip.decompress(data)
    assert len(plain) > CHUNK, "more than one piece is compressed"
    assert sums == {
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
        "diff_id": f"sha256:{hashlib.sha256(plain).hexdigest()}",
        "unpacked": len(plain),
    }


def test_a_layer_is_built_once_for_its_key(tmp_path: Path) -> None:
    calls = []

    def fill(folder: Path) -> tuple[Part, ...]:
        calls.append(folder)
        tree(folder / "root")
        return (PART,)

    first = Store(tmp_path).layer("base", "k1", fill)
    again = Store(tmp_path).layer("base", "k1", fill)
    other = Store(tmp_path).layer("base", "k2", fill)
    assert [first.built, again.built, other.built] == [True, False, True]
    assert first.layer == again.layer
    assert first.layer.parts == (PART,)
    assert other.layer.digest == first.layer.digest
    assert len(calls) == 2
    assert not any(folder.exists() for folder in calls)


def test_a_layer_that_failed_is_not_kept(tmp_path: Path) -> None:
    def fails(folder: Path) -> tuple[Part, ...]:
        (folder / "half").write_text("done")
        raise RuntimeError("no network")

    store = Store(tmp_path)
    with pytest.raises(RuntimeError):
        store.layer("base", "k", fails)
    assert store.layer("base", "k", lambda folder: ()).built
    assert list(tmp_path.glob(".work-*")) == []


def test_layers_that_nobody_used_for_a_month_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = (store.layer("code", key, lambda folder: ()).layer for key in ("old", "new"))
    note = old.path.with_name("code-old.json")
    past = note.stat().st_mtime - (UNUSED_DAYS + 1) * 86400
    os.utime(note, (past, past))
    store.forget_unused()
    assert not old.path.exists()
    assert new.path.exists()


def test_a_key_changes_with_inputs_and_with_the_code_that_builds(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("a = 1")
    first = key_of(source, pins=["x==1"])
    assert key_of(source, pins=["x==1"]) == first
    assert key_of(source, pins=["x==2"]) != first
    source.write_text("a = 1  # as it was")
    assert key_of(source, pins=["x==1"]) == first
    source.write_text("a = 2")
    assert key_of(source, pins=["x==1"]) != first
