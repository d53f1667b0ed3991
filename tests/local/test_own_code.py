"""Every example of own code from raw data to an answer, in a few epochs; what the user sees when the code is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.contract.artifacts import ModelManifest, PackageManifest
from runwright_components.contract.files import verify_files

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "torch": "digits",
    "sklearn": "digits",
    "keras": "digits",
    "xgboost": "birdstrikes",
    "transformers": "languages",
    "ray": "digits",
}


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], Path]:
    """`own(name)`: the TrainingRun of a fresh copy of an example, its data at the same relative place."""

    def copy(name: str) -> Path:
        without = shutil.ignore_patterns(".runwright", "__pycache__")
        for folder in (EXAMPLES[name], f"own-code/{name}"):
            shutil.copytree(ROOT / "examples" / folder, tmp_path / folder, ignore=without)
        return tmp_path / "own-code" / name / "run.yaml"

    return copy


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, own: Callable[[str], Path], runwright: Any) -> None:
    file = own(name)
    ended = runwright("run", file, *runwright.quick)
    assert ended.code == 0, ended.text
    workspace = file.parent / ".runwright" / f"own-{name}"
    package = workspace / "registry" / f"own-{name}" / "1"
    manifest = PackageManifest.read(package)
    verify_files(package, manifest.files)
    assert "outputs.npy" not in manifest.files
    assert (manifest.parity is None) == (name == "sklearn"), "the others left outputs to compare with"
    (model,) = {path.resolve() for path in workspace.glob("artifacts/*/*/model")}
    assert ModelManifest.read(model).world_size == (2 if name == "ray" else 1)
    assert "the user&#39;s own" in (workspace / "report.html").read_text()
    predicted = runwright("predict", package, "--input", package / "example.json")
    assert predicted.code == 0, predicted.text
    json.loads(predicted.out)

    again = runwright("run", file, *runwright.quick)
    assert again.out.count("unchanged") == 5, again.text


def test_a_changed_file_trains_again_and_a_mistake_is_told(own: Callable[[str], Path], runwright: Any) -> None:
    file = own("xgboost")
    assert runwright("run", file, *runwright.quick).code == 0
    script = file.with_name("train.py")
    script.write_text(script.read_text().replace('"float32": TensorProto.FLOAT', '"float32": TensorProto.DOUBLE'))
    ended = runwright("run", file, *runwright.quick)
    assert ended.code == 1
    assert "train failed: UserCodeError" in ended.text
    assert "expected: inputs numeric float32[N, " in ended.text
    assert "found:    inputs numeric double[N, " in ended.text
    assert not (file.parent / ".runwright" / "own-xgboost" / "registry" / "own-xgboost" / "2").exists()
