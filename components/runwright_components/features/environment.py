"""An observation's fields as the one tensor of a policy's graph, and its actions as the environment takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runwright_components.contract.environment import Actions, Observation
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.predictions import Predictions
from runwright_components.features.preprocessing import Preprocessing, State

OBSERVATION, ACTION, SCORES = "observation", "action", "scores"
"""Tensors of the graph: float32 [N, F]; int64 [N] or [N, K], or float32 [N, K]; and, of choices, what each option got,
float32 [N, options]."""


class EnvironmentState(State):
    kind: Literal["environment"] = "environment"
    observation: Observation
    actions: Actions


class EnvironmentPreprocessing(Preprocessing):
    """Nothing is fitted here: how observations are standardized belongs to the policy, which learned it."""

    state_type = EnvironmentState

    def __init__(self, state: EnvironmentState) -> None:
        super().__init__(state)
        self.state = state

    def transform(self, rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
        observation = self.state.observation
        if missing := [name for name in observation.names if name not in rows.columns]:
            raise _invalid(f"the rows have no column {missing[0]!r}", f"give {', '.join(observation.names)}")
        try:
            found = rows.select(pl.col(name).cast(pl.Float32) for name in observation.names).to_numpy()
        except pl.exceptions.PolarsError as error:
            raise _invalid(f"an observation is not made of numbers: {error}", "give a number for each field") from error
        for place, (name, size) in enumerate(zip(observation.names, observation.sizes, strict=True)):
            values = found[:, place]
            if not np.isfinite(values).all():
                raise _invalid(f"{name} has no value", "an observation has a number in each field")
            if size and not (np.equal(values, np.floor(values)) & (values >= 0) & (values < size)).all():
                raise _invalid(f"{name} is not one of 0 to {size - 1}", "give the code that the environment gives")
        return {OBSERVATION: np.ascontiguousarray(found, dtype=np.float32)}

    def outputs(self, raw: Mapping[str, NDArray[Any]]) -> Predictions:
        """`answers["action"]`: int64 [N] or [N, K], or float64 [N, K], as the environment takes them."""
        found, actions = raw[ACTION], self.state.actions
        if actions.starts:
            found = found + np.array(actions.starts)[0 if actions.kind == "choice" else slice(None)]
        return Predictions(answers={ACTION: found.astype(np.float64) if actions.kind == "numbers" else found})


def _invalid(message: str, cure: str) -> StageError:
    return StageError(Reason.DATA_INVALID, message, cure=cure)
