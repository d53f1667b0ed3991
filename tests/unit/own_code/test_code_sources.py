"""Where code comes from, when it has changed, and which exports are found."""

import os
from pathlib import Path

import pytest

from runwright_api.loading import load_object
from runwright_api.names import API_VERSION, KIND
from runwright_components.contract.config import CodeConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train.code.exports import find_export
from runwright_components.train.code.failing import failure_of, oom_kills
from runwright_components.train.code.sources import fingerprint, locate
from runwright_operator.reading import read_run
from runwright_pipelines.lowering import lower
from tests.unit.conftest import ObjectStorage


def test_a_changed_neighbour_counts_and_caches_do_not(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import helper")
    (tmp_path / "helper.py").write_text("a = 1")
    code = CodeConfig(path="train.py")
    first = fingerprint(code, base=tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").touch()
    (tmp_path / "data.csv").write_text("1")
    assert fingerprint(code, base=tmp_path) == first
    (tmp_path / "helper.py").write_text("a = 2")
    assert fingerprint(code, base=tmp_path) != first


def test_everything_visible_in_a_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    code = CodeConfig(path="src", entrypoint="deep.train")
    first = fingerprint(code, base=tmp_path)
    (tmp_path / "src" / ".git").mkdir()
    (tmp_path / "src" / ".git" / "index").touch()
    assert fingerprint(code, base=tmp_path) == first
    (tmp_path / "src" / "deep" / "sizes.json").write_text("{}")
    assert fingerprint(code, base=tmp_path) != first


def test_files_that_a_command_names_count(tmp_path: Path) -> None:
    code = CodeConfig(command=("python", "train.py", "-x", "a" * 5000))
    first = fingerprint(code, base=tmp_path)
    (tmp_path / "train.py").write_text("1")
    assert fingerprint(code, base=tmp_path) != first


def test_code_from_object_storage(
    object_storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    object_storage.put("code/churn/__init__.py", b"")
    object_storage.put("code/churn/train.py", b"print(1)")
    folder = CodeConfig(path=f"{object_storage.uri}/code/", entrypoint="churn.train")
    found = locate(folder, base=tmp_path, into=tmp_path / "here")
    assert (found / "churn" / "train.py").read_text() == "print(1)"
    single = CodeConfig(path=f"{object_storage.uri}/code/churn/train.py")
    assert locate(single, base=tmp_path, into=tmp_path / "file").read_text() == "print(1)"
    first = fingerprint(folder, base=tmp_path)
    object_storage.put("code/churn/train.py", b"print(2)")
    assert fingerprint(folder, base=tmp_path) != first


def test_nothing_in_object_storage(
    object_storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_storage.endpoint)
    with pytest.raises(StageError) as caught:
        locate(CodeConfig(path=f"{object_storage.uri}/none", entrypoint="a"), base=tmp_path, into=tmp_path)
    assert caught.value.reason is Reason.SOURCE_NOT_FOUND
    assert "upload the code there" in caught.value.cure


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


AUTO = CodeConfig(path="train.py")


@pytest.mark.parametrize("inner", ["", "logged"])
def test_an_mlflow_folder_with_the_flavor_onnx(exported: Path, inner: str) -> None:
    folder = exported / inner
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(
        "flavors:\n  onnx: {data: graph.onnx}\n  python_function: {loader_module: mlflow.onnx}\n"
    )
    (folder / "graph.onnx").touch()
    found = find_export(exported, AUTO)
    assert (found.kind, found.path) == ("mlflow", folder / "graph.onnx")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n  sklearn: {pickled_model: model.pkl}\n",
            "has the flavors python_function, sklearn, and not onnx; the others load pickled objects",
        ),
        ("flavors: {onnx: {data: ../../secret.onnx}}\n", "leads out of its folder"),
        ("flavors: {onnx: {data: /etc/passwd}}\n", "leads out of its folder"),
        ("flavors: {onnx: {data: gone.onnx}}\n", "which is not there"),
        ("flavors: [\n", "MLmodel cannot be read"),
        ("!!python/object/apply:os.system [touch hacked]\n", "MLmodel cannot be read"),
        ("7\n", "has the flavors none"),
    ],
)
def test_mlflow_folders_that_are_refused(exported: Path, content: str, words: str) -> None:
    (exported / "MLmodel").write_text(content)
    with pytest.raises(StageError) as caught:
        find_export(exported, AUTO)
    assert caught.value.reason is Reason.USER_CODE
    assert words in caught.value.message
    assert not Path("hacked").exists()


def test_weights_alone_are_refused(exported: Path) -> None:
    (exported / "model.safetensors").touch()
    with pytest.raises(StageError, match="alone does not say which model"):
        find_export(exported, AUTO)


def test_the_graph_comes_before_weights(exported: Path) -> None:
    for name in ("model.safetensors", "model.onnx"):
        (exported / name).touch()
    assert find_export(exported, AUTO).kind == "onnx"


def test_what_is_asked_for_is_what_is_taken(exported: Path) -> None:
    (exported / "model.onnx").touch()
    with pytest.raises(StageError, match=r"the code left model\.onnx") as caught:
        find_export(exported, CodeConfig(path="a.py", exports="mlflow"))
    assert "an MLflow folder with MLmodel" in caught.value.cure


def test_the_kernel_counts_kills_for_memory(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    assert oom_kills(events) == 0
    events.write_text("low 0\nhigh 0\noom 1\noom_kill 3\n")
    assert oom_kills(events) == 3
    error = failure_of(-9, [], ["epoch 3"], oom=True)
    assert error is not None
    assert error.reason is Reason.OUT_OF_MEMORY
    assert "more memory than there is" in error.message


def trained_by(**train: object) -> dict[str, object]:
    spec = {
        "data": {"sources": [{"path": "s3://bucket/x.csv"}]},
        "prepare": {"target": "kind"},
        "train": {"task": "tabular-classification", **train},
        "storage": {"uri": "s3://bucket/store"},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "churn"}, "spec": spec}


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (
            {"code": {"path": "src", "entrypoint": "churn.train"}},
            "spec.train.code.path: a pod cannot read a path of your machine; copy the code to object storage and give"
            " its s3:// address, or put it into train.image and give code.command",
        ),
        (
            {"code": {"command": ["python", "/app/train.py"]}},
            "spec.train.image: a command is one of an image; give the image, made from Runwright's (docs/own-code.md)",
        ),
    ],
)
def test_a_cluster_refuses_what_no_pod_can_start(train: dict[str, object], told: str) -> None:
    assert read_run(trained_by(**train)) == (None, (told,))


def test_a_cluster_takes_code_from_storage_or_of_an_image() -> None:
    for train in (
        {"code": {"path": "s3://bucket/churn/", "entrypoint": "churn.train"}},
        {"code": {"command": ["python", "/app/train.py"]}, "image": "acme/train:1"},
    ):
        assert read_run(trained_by(**train))[0] is not None


def test_code_stands_in_for_the_model() -> None:
    run = load_object(trained_by(code={"path": "train.py", "env": {"A": "b"}}, timeout="2h"))
    config = lower(run).train
    assert config.model.name == "code"
    assert config.code == CodeConfig(path="train.py", env={"A": "b"}, timeout_seconds=7200)
    assert os.environ.get("A") is None
