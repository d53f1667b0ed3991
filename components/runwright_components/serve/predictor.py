"""A model folder that answers: preprocessing, ONNX graph and labels behind one class, without torch.

Evaluation, `runwright predict` and the server all predict through `Predictor`, so their answers are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray
from pydantic import JsonValue

from runwright_components.contract.artifacts import (
    MANIFEST,
    ONNX,
    PREPROCESSING,
    ModelManifest,
    PackageManifest,
    Signature,
    model_digest,
)
from runwright_components.contract.files import files_digest, verify_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import Predictions, Preprocessing
from runwright_components.features.pii import Masking
from runwright_components.features.tabular import TabularPreprocessing
from runwright_components.features.windows import Windows
from runwright_components.serve.cells import ReadWords
from runwright_components.serve.encoding import TableEncoder, frame_of
from runwright_components.serve.histories import Histories
from runwright_components.serve.reading import WordReader, no_words
from runwright_components.serve.request_error import Limits, RequestError, Root
from runwright_components.serve.validation import Columns, Validator

if TYPE_CHECKING:  # a served table needs no tokenizer
    from runwright_components.serve.forecasting import Forecaster, Run
    from runwright_components.serve.generation import Generator, Sampling

__all__ = ["Limits", "Predictor", "RequestError"]

_BATCH_BYTES = 64 * 2**20  # of input tensors at once, so that a large frame does not need memory for all its rows


class Predictor:
    """The model in `folder`, a package or a model artifact.

    `verify` compares every file with the manifest's digests first; StageError (DigestMismatch) when one was altered.
    `threads` of ONNX Runtime for one call; 1, the default, gives the best latency of single rows.
    """

    def __init__(
        self, folder: Path, *, verify: bool = True, threads: int | None = None, limits: Limits | None = None
    ) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        if verify:
            _verify(folder, self.manifest)
        self.preprocessing = Preprocessing.load(folder / PREPROCESSING)
        self.signature: Signature = self.preprocessing.signature
        self._masking = Masking.beside(folder / PREPROCESSING)
        self.windows = Windows.beside(folder / PREPROCESSING)
        self._histories = Histories(self.windows, limits or Limits()) if self.windows else None
        self._session = _session(folder / ONNX, threads or 1)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = frozenset(value.name for value in self._session.get_inputs())
        self._batch = _rows_in(_BATCH_BYTES, self.signature)
        table = self.preprocessing if isinstance(self.preprocessing, TabularPreprocessing) else None
        self.forecaster = _forecaster(self.run, self.preprocessing, self._batch)
        self._validator = Validator(self.signature, self._words(table), limits)
        self._encoder = TableEncoder(table) if table and TableEncoder.fits(table) else None
        self.generator = _generator(self._session, self.preprocessing)

    @property
    def name(self) -> str:
        """The package's name; `model` for a model artifact, which has none."""
        return self.manifest.name if isinstance(self.manifest, PackageManifest) else "model"

    @property
    def model_digest(self) -> str:
        return self.manifest.model_digest if isinstance(self.manifest, PackageManifest) else self.manifest.digest

    def frame(self, rows: Sequence[Mapping[str, JsonValue]]) -> pl.DataFrame:
        """The rows of a request as a frame that `predict` takes. Raises RequestError, which says the place."""
        return frame_of(self._validator.rows(self._filled(rows)), self.signature)

    def predict(self, frame: pl.DataFrame) -> Predictions:
        """Predictions for raw rows, as `frame` gives them or as they come from the source. Beyond the answers, memory
        does not grow with the rows. Raises StageError for rows of another schema than the training data's."""
        if self._masking is not None:
            frame = self._masking.frame(frame)
        if self.forecaster is not None:
            return self.forecaster.predict(frame)
        parts = (self.preprocessing.transform(part) for part in frame.iter_slices(self._batch))
        return self._answer([self.run(part) for part in parts])

    def predict_rows(self, rows: Sequence[Mapping[str, JsonValue]], parameters: object = None) -> Predictions:
        """Predictions for the rows of a request; `parameters` are those of a generation. Raises RequestError."""
        return self._predict_cells(self._validator.rows(self._filled(rows)), "instances", self._sampling(parameters))

    def predict_columns(self, columns: Mapping[str, Sequence[object]], parameters: object = None) -> Predictions:
        """Predictions for a request that gives a column of JSON values a field. Raises RequestError."""
        return self._predict_cells(self._validator.columns(columns), "inputs", self._sampling(parameters))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name for its input tensors."""
        given = {name: value for name, value in inputs.items() if name in self._inputs}
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))

    def _filled(self, rows: object) -> object:
        return rows if self._histories is None else self._histories.fill(rows)

    def _words(self, table: TabularPreprocessing | None) -> ReadWords:
        """How words in requests read as numbers, truth values and dates."""
        if self.forecaster is not None:
            return self.forecaster.preprocessing.read_words
        return WordReader(table).read if table else no_words

    def _sampling(self, parameters: object) -> Sampling | None:
        """How to generate; None for models that do not, whose requests' parameters KServe's clients may fill."""
        if self.generator is None:
            return None
        from runwright_components.serve.generation import read_sampling

        return read_sampling(parameters)

    def _predict_cells(self, columns: Columns, root: Root, sampling: Sampling | None = None) -> Predictions:
        if self._masking is not None:
            columns = self._masking.cells(columns)
        if self.generator is not None and sampling is not None:
            (prompts,) = columns.values()
            return Predictions(generations=self.generator.generate([str(prompt) for prompt in prompts], sampling))
        if self._encoder is not None:
            tensors = self._encoder.tensors(columns)
            rows = len(next(iter(tensors.values())))
            return self._answer(
                [
                    self.run({name: value[start : start + self._batch] for name, value in tensors.items()})
                    for start in range(0, rows, self._batch)
                ]
            )
        frame = frame_of(columns, self.signature)
        try:
            return self.predict(frame)
        except StageError as error:
            raise self._blame(frame, error, root) from error

    def _answer(self, parts: Sequence[Mapping[str, NDArray[Any]]]) -> Predictions:
        if len(parts) == 1:
            return self.preprocessing.outputs(parts[0])
        return self.preprocessing.outputs(
            {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}
        )

    def _blame(self, frame: pl.DataFrame, error: StageError, root: Root) -> RequestError:
        """The row that the preprocessing refused, such as a damaged image; it looks at many rows at once."""
        field = self.signature.inputs[0].name if len(self.signature.inputs) == 1 else None
        for number in range(len(frame)):
            try:
                self.preprocessing.transform(frame[number])
            except StageError as found:
                return RequestError("value", found.message, cure=found.cure, row=number, field=field, root=root)
        return RequestError("value", error.message, cure=error.cure, root=root)


def read_manifest(folder: Path) -> PackageManifest | ModelManifest:
    """The manifest of a package or of a model artifact. Raises StageError when the folder is neither."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        is_package = "format" in content
    except FileNotFoundError as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"no model here: {MANIFEST} is missing",
            where=str(folder),
            cure="name the folder of a package, such as registry/NAME/1 in the workspace",
        ) from error
    except (ValueError, TypeError) as error:
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"{MANIFEST} is not JSON of a package or model: {error}",
            where=str(folder),
            cure="copy the whole package again from the registry",
        ) from error
    return PackageManifest.read(folder) if is_package else ModelManifest.read(folder)


def _verify(folder: Path, manifest: PackageManifest | ModelManifest) -> None:
    """Every file is the manifest's, and the manifest's table is the one that its digest names."""
    verify_files(folder, manifest.files)
    is_package = isinstance(manifest, PackageManifest)
    actual = files_digest(manifest.files) if is_package else model_digest(manifest.files)
    if actual != manifest.digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"{MANIFEST} was altered: its files have the digest {actual}, it says {manifest.digest}",
            where=str(folder),
            cure="copy the whole package again from the registry",
        )


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class an error, none public
        raise StageError(
            Reason.DATA_UNREADABLE,
            f"ONNX Runtime cannot load the model: {str(error).splitlines()[0]}",
            where=str(path),
            cure="copy the whole package again from the registry, or update onnxruntime",
        ) from error


def _generator(session: onnxruntime.InferenceSession, preprocessing: Preprocessing) -> Generator | None:
    """The generator of a language model; None for others, which need no tokenizer."""
    if preprocessing.signature.task != "generation":
        return None
    from runwright_components.features.corpus import GenerationPreprocessing
    from runwright_components.serve.generation import Generator

    assert isinstance(preprocessing, GenerationPreprocessing)
    return Generator(session, preprocessing)


def _forecaster(run: Run, preprocessing: Preprocessing, batch: int) -> Forecaster | None:
    """The forecaster of a series model; None for others."""
    if preprocessing.signature.task != "forecasting":
        return None
    from runwright_components.features.series import SeriesPreprocessing
    from runwright_components.serve.forecasting import Forecaster

    assert isinstance(preprocessing, SeriesPreprocessing)
    return Forecaster(preprocessing, run, batch)


def _rows_in(budget: int, signature: Signature) -> int:
    """How many rows' input tensors fit into `budget` bytes; an open dimension counts as 512."""
    width = {"float32": 4, "int64": 8, "uint8": 1}
    row = sum(
        width[tensor.dtype] * int(np.prod([size or 512 for size in tensor.shape[1:]])) for tensor in signature.tensors
    )
    return max(1, min(8192, budget // max(row, 1)))
