"""What the report shows of forecasts: how they compare with the naive ones, and some of them beside what came. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runwright_components.contract.evaluation import Evaluation, ForecastSample
from runwright_components.report.charts import Chart, Point, curves
from runwright_components.report.wording import fixed, number


def contexts(found: Mapping[str, float]) -> dict[str, str]:
    """The metrics of the tiles, and what stands below each."""
    seasonal, naive = found.get("baselineMase"), found.get("naiveMase")
    return {
        "mase": f"seasonal naive {fixed(seasonal)}, naive {fixed(naive)}",
        "skill": "saved of the better naive forecast's error",
        "mae": "mean absolute error",
        "coverage": "of the truths lie in the forecast interval",
    }


def caution(found: Mapping[str, float]) -> str:
    """What a passed gate must not hide."""
    if found.get("skill", 1.0) <= 0:
        return "The forecasts are no better than saying the last value, or the last season, again."
    return ""


def charts(evaluation: Evaluation) -> Iterator[Chart]:
    """A picture of each sample."""
    for sample in evaluation.forecasts:
        yield _chart(sample)


def _chart(sample: ForecastSample) -> Chart:
    name = f"{sample.series}, " if sample.series else ""
    came = [value for value in sample.truth if value is not None]
    middle = f" about {number(sum(came) / len(came))}" if came else ""
    now = sample.history[-1]

    def ahead(values: tuple[float, ...]) -> list[Point]:
        return [(0.0, now), *((float(step), value) for step, value in enumerate(values, 1))]

    past = [(float(step - len(sample.history) + 1), value) for step, value in enumerate(sample.history)]
    future = [(float(step), value) for step, value in enumerate(sample.truth, 1) if value is not None]
    return curves(
        f"{name}after {sample.last}",
        f"{len(sample.forecast)} steps, forecast from {number(sample.forecast[0])} to {number(sample.forecast[-1])}; "
        f"what came lies{middle}",
        (
            ("truth", "two", past + future),
            ("forecast", "one", ahead(sample.forecast)),
            ("interval", "quiet", ahead(sample.lower)),
            ("", "quiet", ahead(sample.upper)),
        ),
        x_label="step",
        mark=(0.0, "now"),
    )
