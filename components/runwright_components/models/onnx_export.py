"""The module as an ONNX graph whose bytes depend on the weights alone."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runwright_components.contract.artifacts import Tensor as GraphTensor
from runwright_components.contract.files import write_bytes
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models.shape import Shape
from runwright_components.models.unsupervised import served

OPSET = 18
PROTOBUF_LIMIT = 2**31 - 2**20  # a protobuf message holds less than 2 GiB


def example_inputs(shape: Shape, *, batch: int = 2, length: int = 3) -> dict[str, Tensor]:
    """Inputs of the right names, types and sizes, all zero (masks: one)."""
    inputs: dict[str, Tensor] = {}
    if shape.modality == "image":
        inputs["pixels"] = torch.zeros(batch, *shape.image)
    elif shape.modality == "series":
        inputs["history"] = torch.zeros(batch, shape.context)
    elif shape.modality == "text":
        inputs["input_ids"] = torch.full((batch, length), shape.pad, dtype=torch.int64)
        inputs["attention_mask"] = torch.ones(batch, length, dtype=torch.int64)
    else:
        if shape.numeric:
            inputs["numeric"] = torch.zeros(batch, shape.numeric)
        if shape.categories:
            inputs["categorical"] = torch.zeros(batch, len(shape.categories), dtype=torch.int64)
    return inputs


def export_onnx(module: nn.Module, shape: Shape, path: Path) -> tuple[GraphTensor, ...]:
    """Write `module` as an ONNX graph in float32 to `path` and return the tensors that the graph itself declares.

    The first dimension (and a text's length) is free. Nothing of this machine stands in the file: no paths, no stack
    traces. Graphs over 2 GiB keep their weights beside the file. Raises StageError (Unsupported) when the exporter
    fails.
    """
    inputs = example_inputs(shape)
    return export_graph(
        served(module), inputs, dynamic=_dynamic(shape), inputs=list(inputs), outputs=[shape.output], path=path
    )


def export_graph(
    module: nn.Module,
    example: dict[str, Any],
    *,
    dynamic: dict[str, Any],
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> tuple[GraphTensor, ...]:
    """The same for any module: `example` holds the arguments of its `forward` by name, `dynamic` their free dimensions;
    `inputs` and `outputs` name the graph's tensors in order."""
    import onnx

    plain = copy.deepcopy(module).to("cpu", torch.float32).eval()
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                plain,
                (),
                kwargs=example,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=dynamic,
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise StageError(
                Reason.UNSUPPORTED,
                f"the model cannot be exported to ONNX: {str(error).strip().splitlines()[0]}",
                cure="use another model or, for a pretrained encoder, one of a common type such as BERT or DistilBERT",
            ) from error
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    if proto.ByteSize() > PROTOBUF_LIMIT:
        onnx.save_model(proto, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
        onnx.checker.check_model(str(path))
    else:
        onnx.checker.check_model(proto, full_check=True)
        write_bytes(path, proto.SerializeToString(deterministic=True))
    return tuple(_declared(value) for value in [*proto.graph.input, *proto.graph.output])


def _dynamic(shape: Shape) -> dict[str, dict[int, Any]]:
    free = {0: torch.export.Dim("batch")}
    if shape.modality == "text":
        free[1] = torch.export.Dim("tokens", max=shape.max_tokens or None)
    return {name: dict(free) for name in example_inputs(shape)}


def _strip(proto: Any) -> None:
    """Remove what the exporter says of this machine and of its own workings."""
    del proto.metadata_props[:]
    proto.doc_string = ""
    proto.producer_name, proto.producer_version = "runwright", ""
    graphs = [proto.graph, *proto.functions]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        del graph.metadata_props[:]
        values = [*getattr(graph, "input", ()), *graph.value_info, *getattr(graph, "output", ())]
        for value in values + list(graph.node) + list(getattr(graph, "initializer", ())):
            if isinstance(value, str):
                continue
            value.doc_string = ""
            del value.metadata_props[:]
        for node in graph.node:
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _declared(value: Any) -> GraphTensor:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    return GraphTensor(name=value.name, dtype=dtype, shape=sizes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks from the terminal; what goes wrong it raises."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "torch._dynamo")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
