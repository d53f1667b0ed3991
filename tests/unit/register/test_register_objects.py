import json
from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest

from runwright_components.contract.config import RegisterConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress, silent
from runwright_components.register import register


@pytest.fixture
def config(object_storage):
    return RegisterConfig(name="penguins", uri=f"{object_storage.uri}/models/", endpoint=object_storage.endpoint)


FILES = ["empty", "manifest.json", "preprocessing/state.json", "weights.safetensors"]


def published(object_storage):
    return [key for key in object_storage.stored() if not key.endswith(".claim")]


def test_versions_and_index(config, object_storage, make_package):
    first = register(config, package=make_package("a"), progress=silent())
    second = register(config, package=make_package("b"), progress=silent())
    again = register(config, package=make_package("a"), progress=silent())
    assert (first.version, second.version) == (1, 2)
    assert again == first.model_copy(update={"created": False})
    assert first.uri == f"{object_storage.uri}/models/penguins/1"
    keys = [f"models/penguins/{number}/{name}" for number in (1, 2) for name in FILES]
    assert published(object_storage) == [*keys, "models/penguins/index.json"]
    index = json.loads(bytes(obstore.get(object_storage.store, "models/penguins/index.json").bytes()))
    assert [one["version"] for one in index["versions"]] == [1, 2]


def test_refuses_an_altered_package_before_it_uploads(config, object_storage, make_package):
    package = make_package()
    (package / "weights.safetensors").write_bytes(b"altered")
    with pytest.raises(StageError) as caught:
        register(config, package=package, progress=silent())
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert object_storage.stored() == []


def test_half_an_upload_is_no_version(config, object_storage, make_package):
    """What a killed upload leaves: a claim and files, and no manifest."""
    object_storage.put("models/penguins/1/.claim", b"x")
    object_storage.put("models/penguins/1/weights.safetensors", b"half")
    registration = register(config, package=make_package(), progress=silent())
    assert registration.version == 2


def test_two_at_once_get_two_versions(config, object_storage, make_package):
    packages = [make_package(content) for content in "abc"]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda package: register(config, package=package, progress=silent()), packages))
    assert sorted(one.version for one in done) == [1, 2, 3]
    for one in done:
        manifest = json.loads(
            bytes(obstore.get(object_storage.store, f"models/penguins/{one.version}/manifest.json").bytes())
        )
        assert manifest["digest"] == one.digest


def test_a_failed_upload_is_taken_back(config, object_storage, make_package):
    def interrupt(event):
        if event.kind == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register(config, package=make_package(), progress=Progress("register", interrupt))
    assert object_storage.stored() == []


def test_denied(object_storage, make_package, web):
    body = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'
    web.answers["/closed"] = web.status(403, body)
    config = RegisterConfig(name="penguins", uri="s3://closed/models", endpoint=web.url)
    with pytest.raises(StageError) as caught:
        register(config, package=make_package(), progress=silent())
    assert caught.value.reason is Reason.SOURCE_DENIED
