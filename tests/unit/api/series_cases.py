"""What forecasting asks of the rest: a name, the changes, the place, the words told."""

from typing import Any

SERIES = "spec.prepare.series"


def series(changes: dict[str, Any] | None = None, **prepare: Any) -> dict[str, Any]:
    given = {"target": "sales", "series": {"time": "day", "by": ["shop"], "horizon": 7}, **prepare}
    return {
        "spec.train.task": "series-forecasting",
        "spec.prepare": {name: value for name, value in given.items() if value is not None},
        **(changes or {}),
    }


SERIES_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("no series", series(series=None), SERIES, "needs prepare.target"),
    ("no target of series", series(target=None), "spec.prepare.target", "needs prepare.target"),
    ("series of a table", {f"{SERIES}": {"time": "day", "horizon": 7}}, SERIES, "is for series-forecasting"),
    (
        "a random split of series",
        series(split={"strategy": "random"}),
        "spec.prepare.split.strategy",
        "split by time",
    ),
    (
        "another time to split by",
        series(split={"strategy": "time", "by": "week"}),
        "spec.prepare.split.by",
        "split by time",
    ),
    ("time tells series apart", series({SERIES: {"time": "day", "by": ["day"], "horizon": 7}}), f"{SERIES}.by", "not"),
    ("time is forecast", series(target="day"), "spec.prepare.target", "neither the time"),
    (
        "a season beyond the context",
        series({SERIES: {"time": "day", "horizon": 7, "context": 20, "season": 30}}),
        f"{SERIES}.context",
        "at least one season",
    ),
    ("code for series", series({"spec.train.code": {"path": "a.py"}}), "spec.train.code", "own code does not"),
    (
        "accuracy of forecasts",
        series({"spec.evaluate.gate": [{"metric": "accuracy", "min": 0.9}]}),
        "spec.evaluate.gate[0].metric",
        "mase, skill",
    ),
    ("a table's model of series", series({"spec.train.model": {"name": "mlp"}}), "spec.train.model.name", "nhits"),
]

SERIES_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("series", series()),
    ("series by time", series(split={"strategy": "time", "by": "day", "train": 0.6, "validation": 0.2, "test": 0.2})),
    (
        "all of series",
        series(
            {
                SERIES: {
                    "time": "day",
                    "frequency": "1mo",
                    "horizon": 12,
                    "context": 36,
                    "season": 12,
                    "interval": 0.9,
                    "gaps": "forward",
                },
                "spec.train.model": {"name": "dlinear"},
                "spec.evaluate.gate": [{"metric": "skill", "min": 0.1}, {"metric": "coverage", "min": 0.7}],
            }
        ),
    ),
]
