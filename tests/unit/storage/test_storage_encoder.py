"""Where a pretrained encoder lies: in a folder, or under a prefix of object storage."""

import pytest

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.encoder import encoder_digest, encoder_files, encoder_folder

FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights", "README.md": b"hello"}


@pytest.fixture
def here(tmp_path):
    (tmp_path / "encoder").mkdir()
    for name, content in FILES.items():
        (tmp_path / "encoder" / name).write_bytes(content)
    return tmp_path


@pytest.fixture(autouse=True)
def endpoint(object_storage, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)


@pytest.fixture
def there(object_storage):
    for name, content in {**FILES, "old/model.safetensors": b"older"}.items():
        object_storage.put(f"models/encoder/{name}", content)
    return f"{object_storage.uri}/models/encoder/"


def test_an_encoder_of_object_storage_is_the_one_of_a_folder(here, there):
    with encoder_folder("encoder", here) as folder:
        assert folder == here / "encoder"
        digest = encoder_digest(folder)
    with encoder_folder(there, here) as folder:
        assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
        assert encoder_digest(folder) == digest
    assert not folder.exists()


def test_preparing_fetches_the_small_files_alone(here, there):
    assert {path.name for path in encoder_files(there, here).iterdir()} == {"config.json", "tokenizer.json"}
    assert encoder_files(there, here) == encoder_files(there, here)
    assert encoder_files("encoder", here) == here / "encoder"


def test_other_weights_have_another_digest(here):
    first = encoder_digest(here / "encoder")
    (here / "encoder" / "model.safetensors").write_bytes(b"others")
    assert encoder_digest(here / "encoder") != first


def test_an_empty_prefix_is_refused(object_storage, tmp_path):
    with (
        pytest.raises(StageError, match="no pretrained encoder under this prefix") as caught,
        encoder_folder(f"{object_storage.uri}/nothing", tmp_path),
    ):
        pass
    assert caught.value.reason is Reason.SOURCE_NOT_FOUND


def test_pickles_in_object_storage_are_refused_before_they_are_fetched(object_storage, tmp_path):
    object_storage.put("pickled/config.json", b"{}")
    object_storage.put("pickled/pytorch_model.bin", b"pickle")
    with (
        pytest.raises(StageError, match=r"pytorch_model\.bin holds pickled weights") as caught,
        encoder_folder(f"{object_storage.uri}/pickled", tmp_path),
    ):
        pass
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "safe_serialization=True" in caught.value.cure
