"""Small real models: fitted preprocessing, torch module, exported graph, manifest with digests."""

import base64
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from runwright_components.contract.artifacts import (
    EXAMPLE,
    ONNX,
    PREPROCESSING,
    STATE,
    WEIGHTS,
    Field,
    Lineage,
    ModelManifest,
    PackageManifest,
    Signature,
    Tensor,
    model_digest,
)
from runwright_components.contract.config import ModelConfig
from runwright_components.contract.files import files_digest, folder_files, write_json
from runwright_components.features import Preprocessing
from runwright_components.features.image import ImagePreprocessing, ImagePreprocessingState, ImageState
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.tabular_state import (
    ISO_FORMATS,
    CategoricalInput,
    NumericInput,
    Reader,
    TabularState,
)
from runwright_components.features.target import Target
from runwright_components.features.values import Notation, Words
from runwright_components.models import build, export_onnx, make_shape

ISLANDS = ("biscoe", "dream", "torgersen")
WORDS = Words(missing=("", "na", "n/a", "?"))


def write_model(folder: Path, preprocessing: Preprocessing, config: ModelConfig) -> ModelManifest:
    """A model artifact with random weights; the real heads start at zero, where every row gets the same answer."""
    folder.mkdir(parents=True)
    preprocessing.save(folder / PREPROCESSING)
    signature = preprocessing.signature
    table = isinstance(preprocessing, TabularPreprocessing)
    categories = tuple(item.size for item in preprocessing.state.coded) if table else ()
    state = json.loads((folder / PREPROCESSING / STATE).read_bytes())
    shape = make_shape(signature, categories=categories, vocabulary=None, state=state)
    torch.manual_seed(0)
    module = build(config, shape).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
    export_onnx(module, shape, folder / ONNX)
    save_file(module.state_dict(), folder / WEIGHTS)
    files = folder_files(folder)
    manifest = ModelManifest(
        digest=model_digest(files),
        model=config,
        task=signature.task,
        modality=signature.modality,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        classes=shape.classes,
        categories=categories,
        steps=1,
        best_epoch=1,
        precision="fp32",
        device="cpu",
        world_size=1,
        seconds=1.0,
        files=files,
        signature=signature,
        lineage=Lineage(stage="train", config="sha256:0"),
    )
    manifest.write(folder)
    return manifest


def as_package(folder: Path, name: str) -> Path:
    """Turn a model artifact into a package in place: the same files under a package's manifest."""
    model = ModelManifest.read(folder)
    write_json(folder / EXAMPLE, {"instances": [model.signature.example]})
    files = folder_files(folder, without=("manifest.json",))
    PackageManifest(
        digest=files_digest(files),
        name=name,
        model_digest=model.digest,
        task=model.task,
        modality=model.modality,
        files=files,
    ).write(folder)
    return folder


def table_preprocessing(task: str = "classification", words: Words = WORDS) -> TabularPreprocessing:
    """A table like the penguins': every type of column, numbers as text and as numbers, dates, words for truth."""
    example = {
        "mass": "3,5 kg",
        "bill": 39.1,
        "island": "Biscoe",
        "year": 2007,
        "tagged": "yes",
        "seen": "2007-11-11",
    }
    inputs = (
        Field(name="mass", type="numeric", text=True),
        Field(name="bill", type="numeric", nullable=False),
        Field(name="island", type="categorical", text=True, categories=ISLANDS),
        Field(name="year", type="categorical", categories=("2007", "2008")),
        Field(name="tagged", type="boolean", text=True),
        Field(name="seen", type="datetime", text=True),
    )
    numeric = (
        NumericInput(name="mass", column="mass", fill=4.0, offset=4.0, scale=0.8),
        NumericInput(name="mass:missing", column="mass", part="missing"),
        NumericInput(name="bill", column="bill", low=30, high=60, outliers="clip", offset=43.0, scale=5.4),
        NumericInput(name="tagged", column="tagged"),
        NumericInput(name="seen:days", column="seen", part="days", offset=13_000.0, scale=500.0),
        NumericInput(name="seen:month", column="seen", part="month_sin"),
    )
    categorical = (
        CategoricalInput(name="island", column="island", keys=ISLANDS, missing=4),
        CategoricalInput(name="year", column="year", keys=("2007", "2008"), missing=3),
    )
    classes = task == "classification"
    signature = Signature(
        task=task,
        modality="tabular",
        inputs=inputs,
        ignored=("id",),
        labels=("Adelie", "Chinstrap", "Gentoo") if classes else (),
        target="species" if classes else "weight",
        tensors=(
            Tensor(name="numeric", dtype="float32", shape=(None, len(numeric))),
            Tensor(name="categorical", dtype="int64", shape=(None, len(categorical))),
        ),
        example=example,
    )
    target = (
        Target(name="species", task="classification", keys=("adelie", "chinstrap", "gentoo"), labels=signature.labels)
        if classes
        else Target(name="weight", task="regression", mean=4200.0, scale=800.0)
    )
    return TabularPreprocessing(
        TabularState(
            signature=signature,
            target=target,
            words=words,
            columns=(
                Reader(name="mass", type="numeric", text=True, notation=Notation(decimal=",", units=("kg",))),
                Reader(name="bill", type="numeric", text=False),
                Reader(name="island", type="categorical", text=True),
                Reader(name="year", type="categorical", text=False),
                Reader(name="tagged", type="boolean", text=True),
                Reader(name="seen", type="datetime", text=True, formats=ISO_FORMATS),
            ),
            numeric=numeric,
            categorical=categorical,
        )
    )


def png(color: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> str:
    """Base64 of a PNG file of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def image_preprocessing() -> ImagePreprocessing:
    example = png((200, 30, 10))
    signature = Signature(
        task="classification",
        modality="image",
        inputs=(Field(name="image", type="image", nullable=False),),
        ignored=("path",),
        labels=("blue", "red"),
        target="label",
        tensors=(Tensor(name="pixels", dtype="float32", shape=(None, 3, 8, 8)),),
        example={"image": example},
    )
    return ImagePreprocessing(
        ImagePreprocessingState(
            signature=signature,
            target=Target(name="label", task="classification", keys=("blue", "red"), labels=("blue", "red")),
            image=ImageState(column="image", height=8, width=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3),
        )
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages that are built once; tests that change one copy it."""
    home = tmp_path_factory.mktemp("models")
    write_model(home / "penguins", table_preprocessing(), ModelConfig(name="mlp", hidden=(16,)))
    write_model(home / "weights", table_preprocessing("regression"), ModelConfig(name="mlp", hidden=(16,)))
    write_model(home / "colours", image_preprocessing(), ModelConfig(name="cnn", width=8, depth=1))
    for folder in home.iterdir():
        as_package(folder, folder.name)
    return home


@pytest.fixture(scope="session")
def penguins(built: Path) -> Path:
    return built / "penguins"


@pytest.fixture
def image() -> Callable[..., str]:
    """Makes base64 of a PNG file of one colour."""
    return png


@dataclass
class Server:
    """A server process and its address."""

    process: subprocess.Popen[str]
    url: str

    def post(self, path: str, content: Any) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return httpx.post(self.url + path, content=body, headers={"content-type": "application/json"}, timeout=30)

    def predict(self, rows: Any, model: str = "penguins") -> httpx.Response:
        return self.post(f"/v1/models/{model}:predict", {"instances": rows})

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def start_server(folder: Path, *options: str) -> Server:
    """Start the process that a KServe container starts, and wait for its ready line."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "runwright_components.serve", "--model-dir", str(folder)),
            *("--host", "127.0.0.1", "--port", "0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = time.monotonic() + 60
    line = ""
    while time.monotonic() < deadline and process.poll() is None and not line:
        if select.select([process.stdout], [], [], 0.2)[0]:
            line = process.stdout.readline()
    match = re.search(r"ready on port (\d+)", line)
    if match is None:
        process.kill()
        raise AssertionError(f"the server did not start: {process.stderr.read()}")
    return Server(process, f"http://127.0.0.1:{match.group(1)}")


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    started: list[Server] = []

    def begin(folder: Path, *options: str) -> Server:
        started.append(start_server(folder, *options))
        return started[-1]

    yield begin
    for server in started:
        server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="module")
def server(penguins: Path) -> Iterator[Server]:
    """One server of the package `penguins` for a module; bodies are limited to 64 KiB, requests to 200 rows."""
    running = start_server(penguins, "--max-body-bytes", "65536", "--max-rows", "200", "--access-log")
    yield running
    running.process.kill()
    running.process.communicate()
