"""What user code left in RUNWRIGHT_MODEL: found, and refused where it cannot be served safely."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from runwright_components.contract.artifacts import ONNX
from runwright_components.contract.command import user_code_error
from runwright_components.contract.config import CodeConfig
from runwright_components.contract.outcome import StageError

ML_MODEL = "MLmodel"
TENSORS = "model.safetensors"
FACTORY = "model.py"  # beside TENSORS

Kind = Literal["onnx", "mlflow", "safetensors"]

_AGAIN = "log the model again"
_WANTED = {
    "auto": f"{ONNX}, an MLflow folder or {TENSORS}",
    "onnx": ONNX,
    "mlflow": f"an MLflow folder with {ML_MODEL}",
    "safetensors": f"{TENSORS} and {FACTORY}",
}
_CONVERT = {
    ".pkl": "scikit-learn: skl2onnx.to_onnx; XGBoost and LightGBM: onnxmltools.convert_*",
    ".pickle": "scikit-learn: skl2onnx.to_onnx; XGBoost and LightGBM: onnxmltools.convert_*",
    ".joblib": "scikit-learn: skl2onnx.to_onnx",
    ".pt": "torch.onnx.export(model, ..., dynamo=True)",
    ".pth": "torch.onnx.export(model, ..., dynamo=True)",
    ".ckpt": "torch.onnx.export(model, ..., dynamo=True)",
    ".bin": "torch.onnx.export(model, ..., dynamo=True)",
    ".keras": 'model.export(path, format="onnx")',
    ".h5": 'model.export(path, format="onnx")',
    ".pb": "tf2onnx",
    ".json": "XGBoost: onnxmltools.convert_xgboost",
    ".ubj": "XGBoost: onnxmltools.convert_xgboost",
}


@dataclass(frozen=True)
class Export:
    """`path` is the graph, or the tensors that a factory beside them fits."""

    kind: Kind
    path: Path


def find_export(folder: Path, code: CodeConfig) -> Export:
    """The export in the folder that user code was given. Raises StageError (UserCodeError)."""
    finders = {"onnx": _graph, "mlflow": _ml_model, "safetensors": _tensors}
    wanted = finders.values() if code.exports == "auto" else (finders[code.exports],)
    for find in wanted:
        if (found := find(folder)) is not None:
            return found
    raise _nothing(folder, code)


def _graph(folder: Path) -> Export | None:
    return Export("onnx", folder / ONNX) if (folder / ONNX).is_file() else None


def _tensors(folder: Path) -> Export | None:
    if not (folder / TENSORS).is_file():
        return None
    if not (folder / FACTORY).is_file():
        raise user_code_error(
            f"{TENSORS} alone does not say which model the tensors belong to",
            f"write {FACTORY} beside it, with `def build(schema): -> torch.nn.Module`, or export {ONNX}",
        )
    return Export("safetensors", folder / TENSORS)


def _ml_model(folder: Path) -> Export | None:
    found = [path for path in (folder / ML_MODEL, *sorted(folder.glob(f"*/{ML_MODEL}"))) if path.is_file()]
    if not found:
        return None
    flavors = _flavors(found[0])
    onnx = flavors.get("onnx")
    if not isinstance(onnx, dict):
        raise user_code_error(
            f"{ML_MODEL} has the flavors {', '.join(sorted(map(str, flavors))) or 'none'}, and not onnx; "
            "the others load pickled objects, which run code of their own",
            "convert the model and log it with mlflow.onnx (skl2onnx, onnxmltools, torch.onnx.export)",
        )
    relative = PurePosixPath(str(onnx.get("data", ONNX)))
    path = found[0].parent / relative
    if relative.is_absolute() or ".." in relative.parts:
        raise user_code_error(f"{ML_MODEL}: flavors.onnx.data leads out of its folder: {relative}", _AGAIN)
    if path.is_dir():  # MLflow's layout of a graph with weights beside it
        path = path / ONNX
    if not path.is_file():
        raise user_code_error(f"{ML_MODEL} names the graph {relative}, which is not there", _AGAIN)
    return Export("mlflow", path)


def _flavors(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise user_code_error(f"{ML_MODEL} cannot be read: {str(error).splitlines()[0]}", _AGAIN) from error
    flavors = content.get("flavors") if isinstance(content, dict) else None
    return flavors if isinstance(flavors, dict) else {}


def _nothing(folder: Path, code: CodeConfig) -> StageError:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    expected = _WANTED[code.exports]
    if not files:
        return user_code_error(
            "the code ended well, but left no model: RUNWRIGHT_MODEL is empty",
            f"write {expected} into the folder that the environment variable RUNWRIGHT_MODEL names",
        )
    names = ", ".join(path.relative_to(folder).as_posix() for path in files[:10])
    ways = {way for path in files if (way := _CONVERT.get(path.suffix.lower())) is not None}
    convert = f"; convert with {'; '.join(sorted(ways))}" if ways else ""
    return user_code_error(
        f"the code left {names}, which is not what can be served", f"write {expected} into RUNWRIGHT_MODEL{convert}"
    )
