"""The fitted preprocessing that training, evaluation, batch and online inference share.

Its state is data: `state.json` (and, for text, `tokenizer.json`); the same input gives the same bytes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.artifacts import STATE, Document, Signature
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.predictions import Predictions
from runwright_components.features.target import Target

# The modalities' modules are imported when one is loaded: a served table needs neither tokenizer nor image decoder.
_KINDS = {
    "tabular": ("runwright_components.features.tabular", "TabularPreprocessing"),
    "text": ("runwright_components.features.text", "TextPreprocessing"),
    "image": ("runwright_components.features.image", "ImagePreprocessing"),
    "forecasting": ("runwright_components.features.series", "SeriesPreprocessing"),
    "generation": ("runwright_components.features.corpus", "GenerationPreprocessing"),
    "environment": ("runwright_components.features.environment", "EnvironmentPreprocessing"),
}


class State(Document):
    """Base of each kind's `state.json`."""

    kind: str
    version: int = 1
    signature: Signature
    target: Target


class Preprocessing(ABC):
    """From raw rows to the tensors of the ONNX graph, and from the graph's output to predictions."""

    state_type: ClassVar[type[State]]

    def __init__(self, state: State) -> None:
        self._state = state

    @staticmethod
    def load(folder: Path) -> Preprocessing:
        """Read what `save` wrote, of whatever kind. Raises StageError (DataUnreadable)."""
        try:
            kind = json.loads((folder / STATE).read_bytes()).get("kind")
        except (OSError, ValueError, AttributeError) as error:
            raise unreadable(folder, f"{STATE} cannot be read: {error}") from error
        if kind not in _KINDS:
            raise unreadable(folder, f"{STATE} is of the unknown kind {kind!r}")
        module, name = _KINDS[kind]
        subclass: type[Preprocessing] = getattr(import_module(module), name)
        return subclass.read(folder)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a state of this kind. A kind with more files than `state.json` extends this and `save`."""
        return cls(cls.state_type.read(folder, STATE))

    def save(self, folder: Path) -> None:
        """Write the state into `folder`, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._state.write(folder, STATE)

    @property
    def signature(self) -> Signature:
        return self._state.signature

    @property
    def target_state(self) -> Target:
        """How the target is encoded; `unscale` brings a regression's values back to their unit."""
        return self._state.target

    @abstractmethod
    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """The inputs of the graph by tensor name, the first dimension is `len(rows)`.

        A row's tensors do not depend on the other rows, padding apart. Columns that are not inputs are ignored; a
        missing column, or one of another type than at the fit, is a StageError (DataInvalid).
        """

    def target(self, rows: pl.DataFrame) -> NDArray[Any]:
        """int32 classes [N] (-1: missing or unknown) or float32 standardized values [N] (NaN: missing)."""
        return self._state.target.of(rows)

    def outputs(self, raw: Mapping[str, NDArray[Any]]) -> Predictions:
        """Predictions from the graph's outputs by name: `logits` [N, K], or `value` [N] in standardized units."""
        return self._state.target.outputs(raw)


def unreadable(folder: Path, message: str) -> StageError:
    """The error of a state that is damaged."""
    return StageError(
        Reason.DATA_UNREADABLE,
        message,
        where=str(folder),
        cure="the preprocessing was altered or made by another version; take the whole folder again from its source",
    )
