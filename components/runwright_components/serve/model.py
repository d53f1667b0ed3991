"""The KServe model: a Predictor behind `kserve.Model`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import orjson
from kserve.errors import InvalidInput

from runwright_components.serve import protocol
from runwright_components.serve.predictor import Predictor
from runwright_components.serve.request_error import Limits, RequestError


class RunwrightModel(kserve.Model):  # type: ignore[misc]
    """Answers V1 and V2 requests of the model in a package folder; an empty `name` becomes the package's.

    `answer_v1` and `answer_v2` go from bytes to bytes, for the server's short way; `predict` is what KServe calls for
    everything else (gRPC, binary tensors, CloudEvents). Both predict through the same `Predictor`.
    """

    def __init__(self, name: str, folder: Path, *, threads: int | None = None, limits: Limits | None = None) -> None:
        super().__init__(name)
        self.name: str = name
        self._open: Callable[[], Predictor] = lambda: Predictor(folder, threads=threads, limits=limits)
        self.predictor: Predictor | None = None
        self.row_seconds = 0.0  # one row, measured when the model was warmed up

    def load(self) -> bool:
        """Verify and load the package, and predict its example until the first requests will not be the slow ones."""
        predictor = self._open()
        example = predictor.signature.example
        few = None if predictor.generator is None else {"max_tokens": 4}
        for _ in range(20 if example else 0):
            start = time.perf_counter()
            predictor.predict_rows([example], few)
            self.row_seconds = time.perf_counter() - start
        if few:
            self.row_seconds = math.inf  # a text takes as long as a request asks for
        self.predictor = predictor
        self.name = self.name or predictor.name
        self.ready = True
        return self.ready

    def start(self) -> None:
        """KServe says so when the server starts; the model is ready when `load` ended well, not before."""

    def answer_v1(self, body: bytes) -> tuple[bytes, int]:
        """The answer to a V1 request, and its rows. Raises RequestError."""
        predictor = self._loaded()
        request = _json(body)
        answer = predictor.predict_rows(protocol.instances(request), protocol.parameters(request))  # type: ignore[arg-type]
        return orjson.dumps({"predictions": protocol.predictions(predictor.signature, answer)}), len(answer)

    def answer_v2(self, body: bytes) -> tuple[bytes, int]:
        """The answer to a V2 request whose tensors are JSON, and its rows. Raises RequestError."""
        predictor = self._loaded()
        request = _json(body)
        columns = protocol.columns(request, predictor.signature)
        names = protocol.requested(request, predictor.signature)  # type: ignore[arg-type]
        answer = predictor.predict_columns(columns, protocol.parameters(request))
        return orjson.dumps(
            {
                "model_name": self.name,
                "id": _id(request),
                "outputs": protocol.tensors(predictor.signature, answer, names),
            }
        ), len(answer)

    async def predict(
        self,
        payload: dict[str, Any] | kserve.InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002 (KServe passes it)
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> dict[str, Any] | kserve.InferResponse:
        """Answer what KServe decoded. Raises kserve's InvalidInput, which it turns into status 400."""
        predictor = self._loaded()
        try:
            if not isinstance(payload, kserve.InferRequest):
                answer = predictor.predict_rows(protocol.instances(payload), protocol.parameters(payload))  # type: ignore[arg-type]
                return {"predictions": protocol.predictions(predictor.signature, answer)}
            columns = protocol.columns({"inputs": _tensors(payload)}, predictor.signature)
            answer = predictor.predict_columns(columns, _parameters(payload))
        except RequestError as error:
            raise InvalidInput(str(error)) from error
        names = protocol.outputs_of(predictor.signature)
        outputs = [_output(tensor) for tensor in protocol.tensors(predictor.signature, answer, names)]
        return kserve.InferResponse(
            response_id=payload.id or _new_id(),
            model_name=self.name,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def get_input_types(self) -> list[dict[str, Any]]:
        return protocol.input_metadata(self._loaded().signature)

    def get_output_types(self) -> list[dict[str, Any]]:
        return protocol.output_metadata(self._loaded().signature)

    def _loaded(self) -> Predictor:
        if self.predictor is None:
            raise kserve.errors.ModelNotReady(self.name)
        return self.predictor


def _parameters(request: kserve.InferRequest) -> dict[str, Any] | None:
    """Those of a request over gRPC, whose values KServe wraps by their type."""
    given = {name: value for name, value in (request.parameters or {}).items() if not name.startswith("binary_data")}
    return {name: _plain(value) for name, value in given.items()} or None


def _plain(value: Any) -> Any:
    return getattr(value, value.WhichOneof("parameter_choice")) if hasattr(value, "WhichOneof") else value


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        cure = "send one JSON object in UTF-8; JSON has no NaN and no Infinity, send null" if body else "send JSON"
        raise RequestError("json", f"not JSON: {error}", cure=cure, root="body") from None


def _id(request: object) -> str:
    given = request.get("id") if isinstance(request, Mapping) else None
    return given if isinstance(given, str) and given else _new_id()


def _new_id() -> str:
    return os.urandom(16).hex()


def _tensors(request: kserve.InferRequest) -> list[dict[str, Any]]:
    """KServe's tensors in their JSON form. Binary floats have no null, so there NaN stands for a missing value."""
    found = []
    for tensor in request.inputs:
        data = tensor.as_numpy() if tensor._raw_data is not None else tensor.data
        if isinstance(data, np.ndarray):
            data = data.reshape(-1).tolist()
        cells = [_cell(value) for value in data]
        shape = [int(size) for size in tensor.shape]
        if len(shape) == 2 and len(cells) == shape[0]:
            shape = shape[:1]
        found.append({"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": cells})
    return found


def _cell(value: object) -> object:
    if not isinstance(value, bytes):
        return None if value != value else value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _output(tensor: Mapping[str, Any]) -> kserve.InferOutput:
    kind = {"BYTES": object, "INT64": np.int64}.get(tensor["datatype"], np.float64)
    data = np.array(tensor["data"], dtype=kind).reshape(tensor["shape"])
    output = kserve.InferOutput(
        tensor["name"], tensor["shape"], tensor["datatype"], parameters=tensor.get("parameters")
    )
    output.data = data
    return output
