"""Does the exported graph answer, in numbers, and as the user's own model does?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import ONNX, OUTPUTS, PREPROCESSING, RAW_TEST, Tensor
from runwright_components.contract.command import user_code_error
from runwright_components.features import Preprocessing, load_split

ROWS = 256
Tensors = dict[str, NDArray[Any]]


def validation_inputs(prepared: Path, rows: int) -> Tensors:
    """The graph's inputs by name for the first rows of the validation split."""
    inputs = {name: value[:rows] for name, value in load_split(prepared, "validation").inputs.items()}
    if "pixels" in inputs:
        inputs["pixels"] = inputs["pixels"].astype(np.float32) / np.float32(255)
    return inputs


def check_answers(graph: Path, prepared: Path, output: Tensor) -> None:
    """Run the graph on raw rows through the preprocessing, as a server does: on many at once, and on one.

    Raises StageError (UserCodeError) when it fails, gives another shape, or something that is no number.
    """
    rows = pl.scan_parquet(prepared / RAW_TEST).head(ROWS).collect()
    if rows.is_empty():
        return
    inputs = Preprocessing.load(prepared / PREPROCESSING).transform(rows)
    session = _session(graph)
    answers = _run(session, inputs)
    for given, count in ((answers, len(rows)), (_run(session, {name: one[:1] for name, one in inputs.items()}), 1)):
        expected = (count, *output.shape[1:])
        if given.shape != expected:
            raise user_code_error(
                f"{output.name} has the shape {list(given.shape)} for {count} rows, expected is {list(expected)}",
                "a graph answers a row a row; leave the number of rows open when you export",
            )
    broken = np.flatnonzero(~np.isfinite(answers.reshape(len(answers), -1)).all(axis=1))
    if len(broken):
        raise user_code_error(
            f"{output.name} is no number for {len(broken)} of {len(answers)} test rows, the first is row {broken[0]}",
            "the training diverged, or the graph divides by zero; look at the weights and at the loss",
        )


def difference(model: Path, prepared: Path) -> float | None:
    """The largest absolute difference between the graph in the folder `model` and the outputs that the user's own model
    left beside it, over the first rows of the validation split; None when it left none. Raises StageError."""
    path = model / OUTPUTS
    if not path.is_file():
        return None
    try:
        own = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise user_code_error(f"{OUTPUTS} cannot be read: {error}", "write it with numpy.save") from error
    rows = len(own) if own.ndim else 0
    served = _run(_session(model / ONNX), validation_inputs(prepared, rows)) if rows else np.zeros(0)
    if own.dtype.kind != "f" or own.size != served.size or not rows:
        raise user_code_error(
            f"{OUTPUTS} holds {own.dtype} {list(own.shape)}, the graph gives {served.dtype} {list(served.shape)}",
            "save the outputs of your own model for the first rows of the validation split, in its order",
        )
    apart = np.abs(own.reshape(rows, -1).astype(np.float64) - served.reshape(rows, -1))
    return float(np.where(np.isnan(apart), np.inf, apart).max())


def _session(graph: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base that is exported
        raise user_code_error(
            f"ONNX Runtime cannot load the graph: {str(error).splitlines()[0]}",
            "export with an operator set that ONNX Runtime knows (18 is a good choice), without custom operators",
        ) from error


def _run(session: Any, inputs: Tensors) -> NDArray[Any]:
    names = {value.name for value in session.get_inputs()}
    try:
        (answer,) = session.run(None, {name: value for name, value in inputs.items() if name in names})
    except Exception as error:
        raise user_code_error(
            f"the graph fails on the prepared data: {str(error).splitlines()[0]}",
            "run it with ONNX Runtime on rows of validation.parquet before the code ends",
        ) from error
    return np.asarray(answer)
