import shutil
import threading

import pytest

from runwright_components.contract.artifacts import PackageManifest
from runwright_components.contract.config import DeployConfig, RegisterConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.deploy import deploy
from runwright_components.register import register


@pytest.fixture
def workspace(tmp_path):
    return tmp_path / "workspace"


@pytest.fixture
def registered(workspace, make_package):
    config = RegisterConfig(name="penguins", uri=str(workspace / "registry"))
    return lambda content: register(config, package=make_package(content), progress=silent())


def run(registration, workspace, mode="local"):
    return deploy(
        DeployConfig(name="penguins", mode=mode), registration=registration, workspace=workspace, progress=silent()
    )


@pytest.mark.parametrize("mode", ["local", "Standard", "Knative"])
def test_points_to_the_version(registered, workspace, mode, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    registration = registered("a")
    deployment = run(registration, workspace, mode)
    assert (workspace / "serving").resolve() == workspace / "registry" / "penguins" / "1"
    assert deployment.mode == "local"
    assert deployment.model_digest == "sha256:a"
    assert deployment.extra == {"version": 1}


def test_the_workspace_can_be_moved(registered, workspace, tmp_path):
    run(registered("a"), workspace)
    shutil.move(workspace, tmp_path / "elsewhere")
    assert PackageManifest.read(tmp_path / "elsewhere" / "serving").model_digest == "sha256:a"


def test_readers_always_see_a_whole_version(registered, workspace):
    versions = [registered("a"), registered("b")]
    run(versions[0], workspace)
    stop = threading.Event()
    seen, failures = set(), []

    def read():
        while not stop.is_set():
            try:
                seen.add(PackageManifest.read(workspace / "serving").model_digest)
            except StageError as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        run(versions[number % 2], workspace)
    stop.set()
    reader.join()
    assert not failures
    assert seen == {"sha256:a", "sha256:b"}
    assert sorted(path.name for path in workspace.iterdir()) == ["registry", "serving"]


def test_none_changes_nothing(registered, workspace):
    deployment = run(registered("a"), workspace, "none")
    assert deployment.mode == "none"
    assert deployment.model_digest == "sha256:a"
    assert not (workspace / "serving").exists()


def test_in_a_cluster_it_says_so(registered, workspace, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(StageError) as caught:
        run(registered("a"), workspace, "Standard")
    assert caught.value.reason is Reason.UNSUPPORTED


def test_refuses_another_content_than_registered(registered, workspace):
    registration = registered("a").model_copy(update={"digest": "sha256:other"})
    with pytest.raises(StageError) as caught:
        run(registration, workspace)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert not (workspace / "serving").exists()


def test_never_replaces_a_folder_of_the_user(registered, workspace):
    registration = registered("a")
    (workspace / "serving").mkdir()
    with pytest.raises(StageError, match="not our link"):
        run(registration, workspace)


def test_from_object_storage(object_storage, workspace, make_package, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)
    config = RegisterConfig(name="penguins", uri=f"{object_storage.uri}/models", endpoint=object_storage.endpoint)
    registration = register(config, package=make_package("a"), progress=silent())
    for _ in range(2):
        deployment = run(registration, workspace)
    assert deployment.uri == registration.uri
    assert (workspace / "serving").resolve() == workspace / "packages" / "penguins-1"
    assert (workspace / "serving" / "weights.safetensors").read_bytes() == b"a"
    assert run(registration, workspace, "none").model_digest == "sha256:a"


def test_a_damaged_object_is_not_served(object_storage, workspace, make_package, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)
    config = RegisterConfig(name="penguins", uri=object_storage.uri, endpoint=object_storage.endpoint)
    registration = register(config, package=make_package("a"), progress=silent())
    object_storage.put("penguins/1/weights.safetensors", b"altered")
    with pytest.raises(StageError) as caught:
        run(registration, workspace)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert not (workspace / "serving").exists()
    assert list((workspace / "packages").iterdir()) == []
