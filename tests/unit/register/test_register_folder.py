import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runwright_components.contract.artifacts import MANIFEST, PackageManifest
from runwright_components.contract.config import RegisterConfig
from runwright_components.contract.files import verify_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress, silent
from runwright_components.register import register


@pytest.fixture
def config(tmp_path):
    return RegisterConfig(name="penguins", uri=str(tmp_path / "registry"))


def visible(config):
    home = Path(config.uri) / config.name
    return sorted(path.name for path in home.iterdir() if path.name != ".lock") if home.exists() else []


def test_versions_count_up(config, make_package, tmp_path):
    first = register(config, package=make_package("a"), progress=silent())
    second = register(config, package=make_package("b"), progress=silent())
    assert (first.version, first.created) == (1, True)
    assert (second.version, second.created) == (2, True)
    assert second.uri == str(tmp_path / "registry" / "penguins" / "2")
    folder = tmp_path / "registry" / "penguins" / "2"
    manifest = PackageManifest.read(folder)
    assert manifest.digest == second.digest
    verify_files(folder, manifest.files)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert visible(config) == ["1", "2", "index.json"]


def test_index_lists_the_versions(config, make_package, tmp_path):
    for content in "ab":
        register(config, package=make_package(content), progress=silent())
    index = json.loads((tmp_path / "registry" / "penguins" / "index.json").read_text())
    assert index["name"] == "penguins"
    assert [(one["version"], one["model_digest"]) for one in index["versions"]] == [(1, "sha256:a"), (2, "sha256:b")]


def test_same_content_is_one_version(config, make_package):
    package = make_package()
    first = register(config, package=package, progress=silent())
    again = register(config, package=package, progress=silent())
    assert again == first.model_copy(update={"created": False})
    assert visible(config) == ["1", "index.json"]


def test_only_listed_files_are_published(config, make_package, tmp_path):
    package = make_package()
    (package / "notes.txt").write_text("private")
    register(config, package=package, progress=silent())
    assert not (tmp_path / "registry" / "penguins" / "1" / "notes.txt").exists()


def test_a_registered_version_that_was_altered_is_not_taken_for_the_same(config, make_package, tmp_path):
    package = make_package()
    register(config, package=package, progress=silent())
    (tmp_path / "registry" / "penguins" / "1" / "weights.safetensors").write_bytes(b"altered")
    events = []
    again = register(config, package=package, progress=Progress("register", events.append))
    assert (again.version, again.created) == (2, True)
    assert any("altered" in event.message for event in events if event.kind == "warning")


def test_an_unreadable_version_keeps_its_number(config, make_package, tmp_path):
    (tmp_path / "registry" / "penguins" / "7").mkdir(parents=True)
    assert register(config, package=make_package(), progress=silent()).version == 8


@pytest.mark.parametrize("how", ["altered", "missing", "table", "no manifest", "outside"])
def test_refuses_a_package_that_is_not_whole(config, make_package, how):
    package = make_package()
    manifest = PackageManifest.read(package)
    if how == "altered":
        (package / "weights.safetensors").write_bytes(b"altered")
    elif how == "missing":
        (package / "weights.safetensors").unlink()
    elif how == "table":
        manifest.model_copy(update={"files": {**manifest.files, "empty": "sha256:0"}}).write(package)
    elif how == "outside":
        manifest.model_copy(update={"files": {"../../etc/passwd": "sha256:0"}}).write(package)
    else:
        (package / MANIFEST).unlink()
    with pytest.raises(StageError) as caught:
        register(config, package=package, progress=silent())
    expected = Reason.DATA_UNREADABLE if how == "no manifest" else Reason.DIGEST_MISMATCH
    assert caught.value.reason is expected
    assert caught.value.cure
    assert visible(config) == []


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b"])
def test_refuses_names_that_are_no_folder(config, make_package, name):
    with pytest.raises(StageError, match="cannot name a folder"):
        register(config.model_copy(update={"name": name}), package=make_package(), progress=silent())


def test_two_at_once_get_two_versions(config, make_package):
    packages = [make_package(content) for content in "abcdef"]
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda package: register(config, package=package, progress=silent()), packages))
    assert sorted(one.version for one in done) == [1, 2, 3, 4, 5, 6]
    assert visible(config) == ["1", "2", "3", "4", "5", "6", "index.json"]


def test_two_at_once_with_the_same_package_get_one_version(config, make_package):
    package = make_package()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _number: register(config, package=package, progress=silent()), range(4)))
    assert {one.version for one in done} == {1}
    assert sum(one.created for one in done) == 1


_CHILD = """
import resource, sys
from pathlib import Path
from runwright_components.contract.config import RegisterConfig
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import silent
from runwright_components.register import register

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    register(RegisterConfig(name="penguins", uri=sys.argv[2]), package=Path(sys.argv[1]), progress=silent())
except StageError as error:
    print(error.reason)
"""


def test_disk_full(config, make_package):
    """A limit of the file size stands for the full disk; it cannot be taken back, hence the process of its own."""
    package = make_package("much", size=10_000)
    command = [sys.executable, "-c", _CHILD, os.fspath(package), config.uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Reason.STORAGE_FULL
    assert visible(config) == []
