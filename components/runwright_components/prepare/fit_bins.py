"""Fitting the intervals that numbers are cut into, and the products of numbers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from runwright_components.contract.config import Bins, Polynomial, PrepareConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.derived import BinnedInput, Product
from runwright_components.features.tabular_state import NumericInput
from runwright_components.prepare.infer import Plan

Numbers = NDArray[np.float64]

_PRODUCTS = 500


def rules_of(plan: Plan, config: PrepareConfig) -> Bins | None:
    """How the column is cut, None where it stays a number."""
    bins = config.numeric.bins
    if bins is None or plan.type != "numeric" or (bins.columns and plan.name not in bins.columns):
        return None
    return bins


def bins(inputs: Sequence[NumericInput], train: Numbers, rules: Bins) -> BinnedInput | None:
    """The intervals of a column in place of its fitted `inputs`, by its training values [N]; None where nearly all are
    equal. Gaps are a category of their own where the inputs tell them apart, else they lie where the fill does."""
    number = next(item for item in inputs if item.part == "value")
    low = -np.inf if number.low is None else number.low
    high = np.inf if number.high is None else number.high
    finite = np.clip(train[np.isfinite(train)], low, high)
    if number.outliers == "missing":
        finite = finite[(finite > low) & (finite < high)]
    if rules.edges == "quantile":
        edges = np.quantile(finite, np.linspace(0, 1, rules.count + 1)[1:-1])
    else:
        edges = np.linspace(finite.min(), finite.max(), rules.count + 1)[1:-1]
    edges = np.unique(edges[edges > finite.min()])
    if not len(edges):
        return None
    cut = BinnedInput(
        name=number.name,
        column=number.column,
        edges=tuple(edges.tolist()),
        missing=len(edges) + 2,
        low=number.low if number.outliers == "missing" else None,
        high=number.high if number.outliers == "missing" else None,
        onehot=rules.encode == "onehot",
    )
    if any(item.part == "missing" for item in inputs):
        return cut
    return cut.model_copy(update={"missing": int(cut.codes(np.array([number.fill]))[0])})


def products(inputs: Sequence[NumericInput], plans: Sequence[Plan], rules: Polynomial) -> tuple[Product, ...]:
    """The products of the numeric inputs. Raises StageError where a column is no such input, or there are too many."""
    numeric = {plan.name for plan in plans if plan.type == "numeric"}
    names = [item.name for item in inputs if item.part == "value" and item.column in numeric]
    for place, name in enumerate(rules.columns):
        if name not in names:
            raise _not_numeric(name, names, f"prepare.numeric.polynomial.columns[{place}]")
    chosen = [name for name in names if not rules.columns or name in rules.columns]
    combine = combinations if rules.interactions_only else combinations_with_replacement
    made = [factors for degree in range(2, rules.degree + 1) for factors in combine(chosen, degree)]
    if len(made) > _PRODUCTS:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{len(chosen)} columns make {len(made)} products, more than {_PRODUCTS}",
            where="prepare.numeric.polynomial",
            cure="name fewer columns, lower the degree, or set interactionsOnly: true",
        )
    return tuple(Product(name="*".join(factors), factors=factors) for factors in made)


def require_columns(plans: Sequence[Plan], config: PrepareConfig) -> None:
    """Raises StageError where a column that is to be cut is no number."""
    names = [plan.name for plan in plans if plan.role == "input" and plan.type == "numeric"]
    for place, name in enumerate(config.numeric.bins.columns if config.numeric.bins else ()):
        if name not in names:
            raise _not_numeric(name, names, f"prepare.numeric.bins.columns[{place}]")


def _not_numeric(name: str, names: Sequence[str], where: str) -> StageError:
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return StageError(
        Reason.INVALID_CONFIG,
        f"{name!r} is no numeric input{meant}",
        where=where,
        cure=f"name one of the numeric inputs: {', '.join(names[:20])}",
    )
