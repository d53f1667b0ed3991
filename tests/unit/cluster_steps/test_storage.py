"""Folders in storage: whole or absent, verified, the same in a bucket and on a disk."""

from pathlib import Path

import pytest

from runwright_components.cluster import fetch
from runwright_components.cluster.ending import message
from runwright_components.cluster.manifests.fault import Fault
from runwright_components.cluster.storage import (
    INDEX,
    Place,
    fetch_folder,
    fetch_package,
    index_of,
    place,
    store_folder,
)
from runwright_components.contract.artifacts import MANIFEST, PackageManifest
from runwright_components.contract.cluster import StageFault, StorageConfig
from runwright_components.contract.files import files_digest, folder_files
from runwright_components.contract.outcome import ExitCode, Reason, StageError
from tests.unit.conftest import ObjectStorage


@pytest.fixture(params=["bucket", "disk"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return place(StorageConfig(uri=f"file://{tmp_path}/storage/team/churn"))
    storage: ObjectStorage = request.getfixturevalue("object_storage")
    return place(StorageConfig(uri=f"{storage.uri}/team/churn", endpoint=storage.endpoint, region="us-east-1"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.bin").write_bytes(b"\x00" * 100_000)
    return folder


@pytest.fixture
def package(tmp_path: Path) -> PackageManifest:
    home = tmp_path / "registry" / "churn" / "1"
    home.mkdir(parents=True)
    (home / "model.onnx").write_bytes(b"onnx")
    (home / "weights.safetensors").write_bytes(b"weights")
    files = folder_files(home)
    manifest = PackageManifest(
        digest=files_digest(files),
        name="churn",
        model_digest="sha256:model",
        task="classification",
        modality="tabular",
        files=files,
    )
    manifest.write(home)
    return manifest


def test_a_folder_comes_back_as_it_was(there: Place, folder: Path, tmp_path: Path) -> None:
    stored = store_folder(folder, there.under("model"))
    assert fetch_folder(there.under("model"), tmp_path / "again") == stored
    assert folder_files(tmp_path / "again") == folder_files(folder)
    assert there.folders() == ["model"]


def test_the_same_content_is_stored_once(there: Place, folder: Path) -> None:
    first = store_folder(folder, there)
    there.write("a.txt", b"untouched by the second")
    assert store_folder(folder, there) == first
    assert there.read("a.txt") == b"untouched by the second"


def test_another_content_replaces_it_whole(there: Place, folder: Path, tmp_path: Path) -> None:
    store_folder(folder, there)
    (folder / "a.txt").unlink()
    (folder / "c.txt").write_text("c")
    store_folder(folder, there)
    fetch_folder(there, tmp_path / "again")
    assert sorted(folder_files(tmp_path / "again")) == ["c.txt", "inner/b.bin"]
    assert there.read("a.txt") is None


def test_half_a_folder_is_none(there: Place, folder: Path, tmp_path: Path) -> None:
    there.upload(folder / "a.txt", "a.txt")
    assert index_of(there) is None
    with pytest.raises(StageError) as caught:
        fetch_folder(there, tmp_path / "again")
    assert caught.value.reason is Reason.SOURCE_NOT_FOUND
    assert not (tmp_path / "again").exists()


def test_an_altered_file_is_found_out(there: Place, folder: Path, tmp_path: Path) -> None:
    store_folder(folder, there)
    there.write("a.txt", b"altered")
    with pytest.raises(StageError) as caught:
        fetch_folder(there, tmp_path / "again")
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert not (tmp_path / "again").exists()


def test_names_cannot_lead_out_of_the_folder(there: Place, tmp_path: Path) -> None:
    there.write(INDEX, b'{"digest": "x", "files": {"../escaped": "sha256:0"}}')
    with pytest.raises(StageError) as caught:
        fetch_folder(there, tmp_path / "again")
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert not (tmp_path / "escaped").exists()


def test_other_schemes_are_refused() -> None:
    with pytest.raises(StageError) as caught:
        place(StorageConfig(uri="gs://bucket/prefix"))
    assert caught.value.reason is Reason.INVALID_CONFIG


def test_a_package_is_brought_into_a_folder_that_exists(package: PackageManifest, tmp_path: Path) -> None:
    target = tmp_path / "models"
    target.mkdir()
    there = place(StorageConfig(uri=str(tmp_path / "registry/churn/1")))
    assert fetch_package(there, target, package.digest) == package
    before = (target / "model.onnx").stat().st_mtime_ns
    fetch_package(there, target, package.digest)
    assert (target / "model.onnx").stat().st_mtime_ns == before, "a container that starts again finds it"


def test_half_a_package_is_completed(package: PackageManifest, tmp_path: Path) -> None:
    there = place(StorageConfig(uri=str(tmp_path / "registry/churn/1")))
    target = tmp_path / "models"
    fetch_package(there, target, package.digest)
    (target / "model.onnx").write_bytes(b"torn")
    fetch_package(there, target, package.digest)
    assert (target / "model.onnx").read_bytes() == b"onnx"


@pytest.mark.parametrize("what", ["digest", "file", "missing"])
def test_fetch_says_why_it_cannot(
    package: PackageManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    log = tmp_path / "termination-log"
    monkeypatch.setenv("RUNWRIGHT_TERMINATION_LOG", str(log))
    home = tmp_path / "registry/churn/1"
    if what == "file":
        (home / "model.onnx").write_bytes(b"altered")
    if what == "missing":
        (home / MANIFEST).unlink()
    digest = "sha256:other" if what == "digest" else package.digest
    code = fetch.main([f"file://{home}", str(tmp_path / "models"), "--digest", digest])
    assert code == ExitCode.USER
    reason = "SourceNotFound" if what == "missing" else "DigestMismatch"
    assert StageFault.model_validate_json(log.read_bytes()).reason == reason
    assert not (tmp_path / "models" / MANIFEST).exists(), "a server must not find half a package"


def test_the_command_after_the_dashes_is_apart() -> None:
    assert fetch.split(["u", "d", "--digest", "x", "--", "python", "--", "y"]) == (
        ["u", "d", "--digest", "x"],
        ["python", "--", "y"],
    )


def test_a_termination_message_fits_whatever_it_says() -> None:
    fault = Fault("InternalError", "ä" * 5000, "cure", log=tuple("日" * 600 for _ in range(30))).record()
    content = message(fault)
    assert len(content) <= 4096
    assert StageFault.model_validate_json(content).reason == "InternalError"
