"""What a fitted table's model takes: the fields of a row, its tensors, and a row to try."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import JsonValue

from runwright_components.contract.artifacts import Field, Signature, Tensor
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.kinds import UNSUPERVISED
from runwright_components.features.tabular_state import TabularState
from runwright_components.prepare.clean import Mask
from runwright_components.prepare.infer import Plan
from runwright_components.prepare.raw import RawData

_LISTED = 200  # categories that the signature lists


def signature_of(
    state: TabularState,
    plans: Sequence[Plan],
    shown: dict[str, tuple[str, ...]],
    data: RawData,
    train: Mask,
    config: PrepareConfig,
) -> Signature:
    """The signature of `state`; `shown` are the categories of each column as they are spelled."""
    inputs = [plan for plan in plans if plan.role == "input" and plan.reader is not None]
    row = _example(data, train, [plan.name for plan in inputs], set(config.missing.words))
    fields = []
    for plan in inputs:
        reader = plan.reader
        assert reader is not None
        names = shown.get(plan.name, ())
        fields.append(
            Field(
                name=plan.name,
                type=reader.type,
                text=reader.text,
                categories=names if len(names) <= _LISTED else (),
                example=row[plan.name],
            )
        )
    tensors = []
    if state.numeric_names:
        tensors.append(Tensor(name="numeric", dtype="float32", shape=(None, len(state.numeric_names))))
    if state.coded:
        tensors.append(Tensor(name="categorical", dtype="int64", shape=(None, len(state.coded))))
    return Signature(
        task=config.task,
        modality="tabular",
        inputs=tuple(fields),
        ignored=(*(plan.name for plan in plans if plan.role != "input"), *data.unread),
        labels=() if config.task in UNSUPERVISED else state.target.labels,
        target=config.target,
        tensors=tuple(tensors),
        example=row,
    )


def _example(data: RawData, train: Mask, names: Sequence[str], missing: set[str]) -> dict[str, JsonValue]:
    """Of the first training rows the one with the fewest gaps."""
    rows = data.rows_at(np.flatnonzero(train)[:10].tolist())

    def known(row: dict[str, JsonValue]) -> int:
        return sum(row[name] is not None and str(row[name]).strip().lower() not in missing for name in names)

    fullest = max(rows, key=known)
    return {name: fullest[name] for name in names}
