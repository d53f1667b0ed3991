"""What the report shows of an agent: how it came to act, and how it does beside chance and a rule of thumb. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from runwright_components.contract.artifacts import History
from runwright_components.contract.evaluation import Evaluation
from runwright_components.report.charts import Chart, curves, histogram
from runwright_components.report.wording import number, percent

_BINS = 20


def contexts(found: Mapping[str, float]) -> dict[str, str]:
    """The metrics of the tiles, and what stands below each."""
    return {
        "meanReward": f"spread {number(found.get('stdReward'))}, worst {number(found.get('worstReward'))}",
        "gainOverRandom": f"actions by chance: {number(found.get('randomReward'))}",
        "gainOverBaseline": f"the rule of thumb: {number(found.get('baselineReward'))}",
        "successRate": f"of the episodes, {number(found.get('meanLength'))} steps long",
    }


def caution(found: Mapping[str, float]) -> str:
    """What a passed gate must not hide."""
    if found.get("gainOverRandom", 1.0) <= 0:
        return "The agent does no better than actions drawn by chance."
    if found.get("gainOverBaseline", 1.0) <= 0:
        return "The agent does no better than the rule of thumb."
    return ""


def charts(evaluation: Evaluation) -> Iterator[Chart]:
    """The returns of each player's episodes, over the same axis."""
    every = [value for returns in evaluation.returns.values() for value in returns]
    if not every:
        return
    low, high = min(every), max(every)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    for player, returns in evaluation.returns.items():
        counts, _ = np.histogram(returns, bins=edges)
        yield histogram(
            f"Returns, {player}",
            f"{len(returns)} episodes, mean {number(float(np.mean(returns)))}, from {number(min(returns))} to "
            f"{number(max(returns))}",
            edges.tolist(),
            counts.tolist(),
            x_label="return of an episode",
            y_label="episodes",
        )


def learning(history: History) -> tuple[Chart, ...]:
    """Returns while the agent learned, drawing actions to try them out, and of the validations, as it would act."""
    best = next((epoch for epoch in history.epochs if epoch.epoch == history.best_epoch), None)
    validations = [(epoch.step, epoch.validation_metric) for epoch in history.epochs]
    losses = [(epoch.step, epoch.train_loss) for epoch in history.epochs]
    return (
        curves(
            "Return",
            f"mean return of validation from {number(validations[0][1])} to {number(validations[-1][1])}",
            (("learning", "quiet", history.returns), ("validation", "one", validations)),
            x_label="step",
            mark=(float(best.step), "best") if best else None,
        ),
        curves(
            "Loss",
            f"loss of the last update from {number(losses[0][1])} to {number(losses[-1][1])}",
            (("loss", "two", losses),),
            x_label="step",
        ),
    )


def learned(history: History) -> str:
    """How learning ended, and which policy was kept."""
    ended = "the return to stop at was reached" if history.stopped == "early" else "all timesteps were made"
    best = next((epoch for epoch in history.epochs if epoch.epoch == history.best_epoch), None)
    if best is None:
        return ended
    share = percent(best.step / history.epochs[-1].step) if history.epochs[-1].step else ""
    return (
        f"{ended}; the policy is that of step {best.step:,}, after {share} of them (mean return of validation "
        f"{number(best.validation_metric)})"
    )
