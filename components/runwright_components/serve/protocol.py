"""The two protocols of KServe, from JSON to rows or columns and from predictions to JSON. Pure.

V1: `{"instances": [{field: value, ...}, ...]}` -> `{"predictions": [...]}`; `parameters` beside them: how to generate
(https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol).
V2, the Open Inference Protocol: a tensor a field, `[N]` or `[N, 1]` -> tensors `label` and `probabilities`, or `value`
(https://github.com/kserve/open-inference-protocol).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from runwright_components.contract.artifacts import Field, Signature
from runwright_components.contract.config import TaskKind
from runwright_components.features import Predictions
from runwright_components.features.predictions import Forecasts
from runwright_components.serve.request_error import Kind, RequestError, kind_of

_NUMBERS = frozenset(["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"])
_DATATYPES: dict[str, frozenset[str]] = {
    "numeric": _NUMBERS,
    "categorical": frozenset(["BYTES"]),
    "boolean": frozenset(["BOOL", "BYTES"]),
    "datetime": frozenset(["BYTES"]),
    "text": frozenset(["BYTES"]),
    "image": frozenset(["BYTES"]),
    "numbers": _NUMBERS,
}
_GENERATED = (("text", "BYTES"), ("finish_reason", "BYTES"), ("tokens", "INT64"))  # outputs of a language model
_FORECAST = (("forecast", "FP64"), ("lower", "FP64"), ("upper", "FP64"), ("time", "BYTES"))  # [N, horizon] each
_KINDS = {"f": "FP64", "i": "INT64", "b": "BOOL"}  # datatypes by the kind of numpy's
_ACTIONS = {"float32": "FP64", "int64": "INT64"}  # of an agent, by those of its graph
_UNSUPERVISED: dict[TaskKind, tuple[tuple[str, str, int], ...]] = {
    "anomaly": (("score", "FP64", 1), ("anomaly", "BOOL", 1)),
    "clustering": (("cluster", "INT64", 1), ("distances", "FP64", 2)),
    "embedding": (("embedding", "FP64", 2),),
}  # outputs by name, with their numbers of dimensions
_PREFERRED = {"numeric": "FP64", "numbers": "FP64", "boolean": "BOOL"}


def instances(body: object) -> Sequence[object]:
    """The rows of a V1 request. Raises RequestError."""
    if not isinstance(body, Mapping):
        raise RequestError(
            "type", f"expected an object, got {kind_of(body)}", cure='send {"instances": [...]}', root="body"
        )
    if "instances" not in body:
        close = difflib.get_close_matches("instances", [str(key) for key in body], 1)
        cure = f'is "{close[0]}" meant as "instances"?' if close else 'send {"instances": [{field: value, ...}]}'
        raise RequestError("missing", 'missing field "instances"', cure=cure, root="body")
    rows = body["instances"]
    if not isinstance(rows, list):
        raise RequestError("type", f"expected a list of rows, got {kind_of(rows)}", cure="put the row in [ ]")
    return rows


def predictions(signature: Signature, answer: Predictions) -> list[dict[str, Any]]:
    """The `predictions` of a V1 answer for each row: `{"label", "probabilities": {label: p}}`, `{"value"}`,
    `{"text", "finish_reason", "tokens"}`, or lists `{"forecast", "lower", "upper", "time"}`, the last where the request
    tells when the last known value was. Other kinds give what they answer by its names, an agent `{"action"}`."""
    if answer.generations is not None:
        return [vars(generation) for generation in answer.generations]
    if answer.forecasts is not None:
        return _forecasts(answer.forecasts)
    if answer.answers is not None:
        columns = [found.tolist() for found in answer.answers.values()]
        return [dict(zip(answer.answers, row, strict=True)) for row in zip(*columns, strict=True)]
    if answer.values is not None:
        return [{"value": value} for value in answer.values.tolist()]
    if answer.labels is None or answer.probabilities is None:
        return []
    names = signature.labels
    return [
        {"label": label, "probabilities": dict(zip(names, row, strict=True))}
        for label, row in zip(answer.labels, answer.probabilities.tolist(), strict=True)
    ]


def _forecasts(found: Forecasts) -> list[dict[str, Any]]:
    rows = zip(found.values.tolist(), found.lower.tolist(), found.upper.tolist(), found.times, strict=True)
    return [
        {"forecast": values, "lower": lower, "upper": upper, **({"time": times} if times is not None else {})}
        for values, lower, upper, times in rows
    ]


def parameters(body: object) -> object:
    """The `parameters` of a request of either protocol, for the predictor to check; None where there are none."""
    return body.get("parameters") if isinstance(body, Mapping) else None


def columns(body: object, signature: Signature) -> dict[str, Sequence[object]]:
    """The columns of a V2 request by field name, all of one length. Raises RequestError."""
    if not isinstance(body, Mapping):
        raise _refused("type", f"expected an object, got {kind_of(body)}", 'send {"inputs": [tensor, ...]}')
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        kind: Kind = "missing" if inputs is None else "type"
        raise _refused(kind, f'expected "inputs", a list of tensors, got {kind_of(inputs)}', "send a tensor a field")
    fields = {field.name: field for field in signature.inputs}
    found: dict[str, Sequence[object]] = {}
    rows: int | None = None
    for number, tensor in enumerate(inputs):
        name, values = _column(tensor, number, fields)
        if name in found:
            raise _refused("shape", "the tensor is given twice", "send each field once", field=name)
        if rows is not None and len(values) != rows:
            message = f"the tensor has {len(values)} rows, the others {rows}"
            raise _refused("shape", message, "give all tensors the same first dimension", field=name)
        rows = len(values)
        found[name] = values
    return found


def requested(body: Mapping[str, Any], signature: Signature) -> tuple[str, ...]:
    """The names of the outputs that a V2 request asks for; all of them by default."""
    have = outputs_of(signature)
    wanted = body.get("outputs")
    if not wanted:
        return have
    if not isinstance(wanted, list) or not all(isinstance(output, Mapping) for output in wanted):
        raise _refused("type", '"outputs" is not a list of objects', 'send [{"name": "' + have[0] + '"}]')
    for output in wanted:
        if output.get("name") not in have:
            raise _refused("unknown", f'unknown output "{output.get("name")}"', f"the outputs are {', '.join(have)}")
    return tuple(output["name"] for output in wanted)


def outputs_of(signature: Signature) -> tuple[str, ...]:
    return tuple(output["name"] for output in output_metadata(signature))


def tensors(signature: Signature, answer: Predictions, names: Sequence[str]) -> list[dict[str, Any]]:
    """The `outputs` of a V2 answer: `label` BYTES [N] and `probabilities` FP64 [N, K], or `value` FP64 [N], or `text`
    and `finish_reason` BYTES [N] and `tokens` INT64 [N].

    The tensor of probabilities says the order of the labels in its parameter `labels`, a JSON list.
    """
    found: dict[str, dict[str, Any]] = {}
    if answer.values is not None:
        found["value"] = {"datatype": "FP64", "shape": [len(answer)], "data": answer.values.tolist()}
    if answer.generations is not None:
        for name, datatype in _GENERATED:
            data = [getattr(generation, name) for generation in answer.generations]
            found[name] = {"datatype": datatype, "shape": [len(answer)], "data": data}
    if answer.forecasts is not None:
        found |= _forecast_tensors(answer.forecasts)
    for name, array in (answer.answers or {}).items():
        found[name] = {
            "datatype": _KINDS[array.dtype.kind], "shape": list(array.shape), "data": array.ravel().tolist()
        }  # fmt: skip
    if answer.labels is not None and answer.probabilities is not None:
        found["label"] = {"datatype": "BYTES", "shape": [len(answer)], "data": answer.labels}
        found["probabilities"] = {
            "datatype": "FP64",
            "shape": list(answer.probabilities.shape),
            "data": answer.probabilities.reshape(-1).tolist(),
            "parameters": {"labels": json.dumps(signature.labels, ensure_ascii=False)},
        }
    return [{"name": name, **found[name]} for name in names]


def _forecast_tensors(forecasts: Forecasts) -> dict[str, dict[str, Any]]:
    """Stamps that are not known are empty texts."""
    shape = list(forecasts.values.shape)
    times = [times or [""] * shape[1] for times in forecasts.times]
    columns = {
        "forecast": forecasts.values.ravel().tolist(),
        "lower": forecasts.lower.ravel().tolist(),
        "upper": forecasts.upper.ravel().tolist(),
        "time": [stamp for row in times for stamp in row],
    }
    return {name: {"datatype": kind, "shape": shape, "data": columns[name]} for name, kind in _FORECAST}


def input_metadata(signature: Signature) -> list[dict[str, Any]]:
    """The `inputs` of the V2 metadata of a model."""
    return [
        {"name": field.name, "datatype": _PREFERRED.get(field.type, "BYTES"), "shape": _shape(field)}
        for field in signature.inputs
    ]


def _shape(field: Field) -> list[int]:
    return [-1, -1] if field.type == "numbers" else [-1]


def output_metadata(signature: Signature) -> list[dict[str, Any]]:
    """The `outputs` of the V2 metadata of a model."""
    if signature.task == "regression":
        return [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    if signature.task == "forecasting":
        return [{"name": name, "datatype": datatype, "shape": [-1, -1]} for name, datatype in _FORECAST]
    if signature.task in _UNSUPERVISED:
        named = _UNSUPERVISED[signature.task]
        return [{"name": name, "datatype": datatype, "shape": [-1] * rank} for name, datatype, rank in named]
    if signature.task == "generation":
        return [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in _GENERATED]
    if signature.task == "control":
        *_, action = signature.tensors
        shape = [-1 if size is None else size for size in action.shape]
        return [{"name": action.name, "datatype": _ACTIONS[action.dtype], "shape": shape}]
    return [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(signature.labels)]},
    ]


def as_v2(row: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """One row as a V2 request; fields that are not inputs are left out."""
    inputs = []
    for field in signature.inputs:
        value = row.get(field.name)
        words = isinstance(value, str) or (value is None and field.text)
        datatype = "BYTES" if words else _PREFERRED.get(field.type, "BYTES")
        shape = [1, len(value)] if isinstance(value, list) else [1]
        inputs.append({"name": field.name, "shape": shape, "datatype": datatype, "data": [value]})
    return {"inputs": inputs}


def _column(tensor: object, number: int, fields: Mapping[str, Field]) -> tuple[str, Sequence[object]]:
    if not isinstance(tensor, Mapping) or not isinstance(tensor.get("name"), str):
        cure = 'a tensor is {"name": ..., "shape": [N], "datatype": ..., "data": [...]}'
        raise _refused("type", f"inputs[{number}] is not a tensor with a name", cure)
    name = tensor["name"]
    if absent := [key for key in ("shape", "datatype", "data") if key not in tensor]:
        raise _refused("missing", f'the tensor has no "{absent[0]}"', 'give "shape", "datatype" and "data"', field=name)
    datatype, shape, data = tensor["datatype"], tensor["shape"], tensor["data"]
    field = fields.get(name)
    if field is not None:
        _check_datatype(field, datatype)
    if field is not None and field.type == "numbers":
        return name, _lists(name, shape, data)
    if not _is_column(shape):
        raise _refused("shape", f"the shape is {_shown(shape)}, not [N] or [N, 1]", "send a tensor a field", field=name)
    if not isinstance(data, list):
        raise _refused("type", f"expected a list as data, got {kind_of(data)}", field=name)
    if len(data) != shape[0]:
        message = f"the shape says {shape[0]} rows, the data has {len(data)}"
        raise _refused("shape", message, "make shape and data agree", field=name)
    if len(shape) == 2 and all(isinstance(cell, list) and len(cell) == 1 for cell in data):
        return name, [cell[0] for cell in data]
    return name, data


def _lists(name: str, shape: object, data: object) -> list[Sequence[object]]:
    """The rows of a tensor [N, L], whose data are flat or a list a row."""
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):
        raise _refused("shape", f"the shape is {_shown(shape)}, not [N, L]", "send a list a row", field=name)
    if not isinstance(data, list):
        raise _refused("type", f"expected a list as data, got {kind_of(data)}", field=name)
    rows, length = shape
    if len(data) == rows and all(isinstance(row, list) and len(row) == length for row in data):
        return data
    if len(data) != rows * length:
        message = f"the shape says {rows} x {length} values, the data has {len(data)}"
        raise _refused("shape", message, "make shape and data agree", field=name)
    return [data[row * length : (row + 1) * length] for row in range(rows)]


def _check_datatype(field: Field, datatype: object) -> None:
    allowed = _DATATYPES[field.type]
    if field.text or field.type == "categorical":
        allowed = allowed | {"BYTES"}
    if field.type == "categorical" and not field.text:
        allowed = allowed | _NUMBERS | {"BOOL"}
    if not isinstance(datatype, str) or datatype not in allowed:
        names = ", ".join(sorted(allowed))
        message = f"the datatype is {_shown(datatype)}, but the field is {field.type}"
        raise _refused("type", message, f"send one of {names}", field=field.name)


def _is_column(shape: object) -> bool:
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        return False
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refused(kind: Kind, message: str, cure: str = "", *, field: str | None = None) -> RequestError:
    return RequestError(kind, message, cure=cure, field=field, root="inputs")
