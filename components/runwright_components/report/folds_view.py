"""What the report shows of a cross-validation. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runwright_components.contract.evaluation import CrossValidation
from runwright_components.report.wording import count, metric


@dataclass(frozen=True)
class FoldsView:
    note: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]  # (fold, rows that judged, a figure a metric)
    mean: tuple[str, ...]  # of each metric, with its deviation


def folds_view(found: CrossValidation) -> FoldsView:
    how = "each searched for its own values" if found.nested else "each prepared and trained without its fold"
    figures = found.figures
    return FoldsView(
        note=f"{len(found.rows)} models, {how}; none of them saw the test split, and none of them is the model served.",
        names=tuple(metric(name).name for name in found.metrics),
        rows=tuple(
            (
                str(place + 1),
                count(rows),
                tuple(metric(name).show(found.metrics[name][place]) for name in found.metrics),
            )
            for place, rows in enumerate(found.rows)
        ),
        mean=tuple(
            f"{metric(name).show(figures[f'cv.{name}_mean'])} \u00b1 {metric(name).show(figures[f'cv.{name}_std'])}"
            for name in found.metrics
        ),
    )
