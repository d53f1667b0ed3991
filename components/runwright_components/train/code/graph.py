"""The exported ONNX graph: does it take the prepared tensors and give what is served?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from runwright_components.contract.artifacts import Tensor
from runwright_components.contract.command import user_code_error
from runwright_components.contract.files import write_bytes
from runwright_components.contract.outcome import StageError

PROTOBUF_LIMIT = 2**31 - 2**20  # a protobuf message holds less than 2 GiB
PROBABILITIES = "probabilities"  # what scikit-learn's and XGBoost's converters call them
_OPSET = 18
_LEAST = np.array(1e-12, np.float32)  # probability whose logarithm is taken in place of a smaller one's


def adapt(path: Path, inputs: Sequence[Tensor], output: Tensor, target: Path) -> tuple[Tensor, ...]:
    """Write the graph in `path` to `target`, its one output `output`, and return its tensors.

    The graph takes some of `inputs` by name. `probabilities` [N, K] become `logits` by their logarithm, whose softmax
    they are; a regression's only output may have any name, and be [N, 1]. Raises StageError (UserCodeError) that shows
    the expected signature and the one that was found.
    """
    proto = _read(path)
    initial = {tensor.name for tensor in proto.graph.initializer}
    taken = [value for value in proto.graph.input if value.name not in initial]
    wrong = _Wrong(path.name, inputs, output, taken, list(proto.graph.output))
    expected = {tensor.name: tensor for tensor in inputs}
    if not taken or any(value.name not in expected or not _fits(value, expected[value.name]) for value in taken):
        raise wrong.error()
    _give(proto, output, wrong)
    for value in taken:
        _free_batch(value)
    _check(proto, path)
    _write(proto, target)
    declared = {value.name: value for value in taken}
    return (*(tensor for tensor in inputs if tensor.name in declared), output)


def parameters(path: Path) -> int:
    """How many numbers were learned: floating-point initializers, and the leaves and thresholds of trees."""
    proto = onnx.load(str(path), load_external_data=False)
    floating = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    weights = sum(int(np.prod(tensor.dims)) for tensor in proto.graph.initializer if tensor.data_type in floating)
    return weights + sum(len(attribute.floats) for node in proto.graph.node for attribute in node.attribute)


def _read(path: Path) -> Any:
    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf's and onnx's errors have no common base
        raise user_code_error(
            f"{path.name} cannot be read as an ONNX graph: {str(error).splitlines()[0] if str(error) else error!r}",
            "export it again; weights that lie beside the graph belong into the same folder",
        ) from error


def _check(proto: Any, path: Path) -> None:
    try:
        onnx.checker.check_model(proto)
    except Exception as error:
        raise user_code_error(
            f"{path.name} is not a valid ONNX graph: {str(error).splitlines()[0] if str(error) else error!r}",
            "export it again, with the exporter of the library that made the model",
        ) from error


def _write(proto: Any, target: Path) -> None:
    if proto.ByteSize() > PROTOBUF_LIMIT:
        data = f"{target.name}.data"
        onnx.save_model(proto, str(target), save_as_external_data=True, location=data, size_threshold=1024)
    else:
        write_bytes(target, proto.SerializeToString(deterministic=True))


def _give(proto: Any, output: Tensor, wrong: _Wrong) -> None:
    """Make `output` the one output of the graph; what else it gives is cut off."""
    found = {value.name: value for value in proto.graph.output}
    width = output.shape[1] if len(output.shape) == 2 else None
    column = Tensor(name=output.name, dtype=output.dtype, shape=(None, 1))
    if output.name in found and _fits(found[output.name], output):
        made = []
    elif output.name == "logits" and PROBABILITIES in found and output.name not in found:
        likely = Tensor(name=PROBABILITIES, dtype="float32", shape=(None, width))
        if not _fits(found[PROBABILITIES], likely):
            raise wrong.error()
        made = _logarithm(PROBABILITIES, output.name)
    elif output.name == "value" and len(found) == 1:
        (value,) = found.values()
        if not (_fits(value, output) or _fits(value, column)):
            raise wrong.error()
        _rename(proto, value.name, "value_column")
        made = _flat("value_column", output.name)
    else:
        raise wrong.error()
    if made and not any(opset.domain in ("", "ai.onnx") for opset in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("", _OPSET))  # a graph of trees alone names only ai.onnx.ml
    for part in made:
        (proto.graph.initializer if isinstance(part, TensorProto) else proto.graph.node).append(part)
    del proto.graph.output[:]
    shape: list[str | int] = ["batch", width] if width else ["batch"]
    proto.graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape))


def _logarithm(source: str, target: str) -> list[Any]:
    least = numpy_helper.from_array(_LEAST, "runwright_least")
    return [
        least,
        helper.make_node("Max", [source, "runwright_least"], ["runwright_likely"], name="runwright_max"),
        helper.make_node("Log", ["runwright_likely"], [target], name="runwright_log"),
    ]


def _flat(source: str, target: str) -> list[Any]:
    flat = numpy_helper.from_array(np.array([-1], np.int64), "runwright_flat")
    return [flat, helper.make_node("Reshape", [source, "runwright_flat"], [target], name="runwright_reshape")]


def _rename(proto: Any, old: str, new: str) -> None:
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _free_batch(value: Any) -> None:
    dimension = value.type.tensor_type.shape.dim
    if dimension:
        dimension[0].dim_param = "batch"


def _fits(value: Any, tensor: Tensor) -> bool:
    """Whether a value of the graph has the type and the sizes of `tensor`; a size that the graph leaves open fits, and
    one that varies must be open."""
    if value.type.WhichOneof("value") != "tensor_type" or _dtype(value) != tensor.dtype:
        return False
    if not value.type.tensor_type.HasField("shape"):
        return True
    sizes = _sizes(value)
    return len(sizes) == len(tensor.shape) and all(
        size is None or size == wanted for size, wanted in zip(sizes, tensor.shape, strict=True)
    )


def _dtype(value: Any) -> str:
    kind = value.type.tensor_type.elem_type
    return "float32" if kind == TensorProto.FLOAT else str(TensorProto.DataType.Name(kind)).lower()


def _sizes(value: Any) -> tuple[int | None, ...]:
    return tuple(size.dim_value if size.dim_value > 0 else None for size in value.type.tensor_type.shape.dim)


class _Wrong:
    """The two signatures side by side, as they were before anything was changed."""

    def __init__(self, name: str, inputs: Sequence[Tensor], output: Tensor, taken: list[Any], given: list[Any]) -> None:
        self._name = name
        self._expected = f"inputs {', '.join(map(_shown_tensor, inputs))}; output {_shown_tensor(output)}"
        found = ", ".join(map(_shown_value, taken)) or "none"
        self._found = f"inputs {found}; output {', '.join(map(_shown_value, given)) or 'none'}"

    def error(self) -> StageError:
        return user_code_error(
            f"{self._name} has another signature than the prepared data\n"
            f"expected: {self._expected}\nfound:    {self._found}",
            "name and type the tensors as schema.json says when you export, and leave the number of rows open; "
            "docs/own-code.md shows how, library by library",
        )


def _shown_tensor(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype}{_shown_sizes(tensor.shape)}"


def _shown_value(value: Any) -> str:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return f"{value.name} {(kind or 'unknown').removesuffix('_type')}"
    sizes = _shown_sizes(_sizes(value)) if value.type.tensor_type.HasField("shape") else "[...]"
    return f"{value.name} {_dtype(value)}{sizes}"


def _shown_sizes(sizes: Sequence[int | None]) -> str:
    return f"[{', '.join('N' if size is None else str(size) for size in sizes)}]"
