"""Dashboard and alerts ask for metrics that the operator has, and the dashboard is one that Grafana can load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from runwright_operator.metrics import Metrics
from tests.golden.rendering import CHART

DASHBOARD = json.loads((CHART / "files/dashboard.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SERIES = re.compile(r"\brunwright_[a-z_]+")
SUFFIXES = ("_bucket", "_sum", "_count")
PAGE = CHART.parents[1] / "docs/monitoring.md"


def metrics() -> set[str]:
    """Names of the operator's own metrics, as its page of metrics has them."""
    operator = Metrics()
    operator.watch_phases(lambda: [])
    types = re.findall(r"^# TYPE (runwright_[a-z_]+) ", operator.page().decode(), re.MULTILINE)
    return {name for name in types if not name.endswith("_created")}


METRICS = metrics()


def expressions() -> Iterator[str]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"]


def metric(series: str) -> str:
    for suffix in SUFFIXES:
        if series.endswith(suffix):
            return series.removesuffix(suffix)
    return series


def test_it_is_a_dashboard() -> None:
    assert DASHBOARD["uid"] == "runwright"
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 39
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "namespace"]


def test_ids_are_unique_and_panels_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])


@pytest.mark.parametrize("expression", sorted({*expressions(), *(alert["expr"] for alert in ALERTS)}))
def test_every_expression_asks_for_metrics_that_exist(expression: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    series = SERIES.findall(expression)
    assert series
    assert {metric(each) for each in series} <= METRICS


def test_every_metric_is_shown() -> None:
    shown = {metric(series) for text in expressions() for series in SERIES.findall(text)}
    assert METRICS - shown == set()


def test_a_rate_is_never_taken_of_a_gauge() -> None:
    for expression in expressions():
        for series in re.findall(r"(?:rate|increase)\((runwright_[a-z_]+)", expression):
            assert series.endswith(("_total", *SUFFIXES)), expression


def test_the_page_about_monitoring_tells_of_every_alert() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for alert in ALERTS:
        assert f"| {alert['alert']} | `{alert['expr']}` | {alert.get('for', 'at once')} | {alert['severity']} |" in page


def test_the_page_about_monitoring_tells_of_every_metric() -> None:
    told = {metric(series) for series in SERIES.findall(PAGE.read_text(encoding="utf-8"))}
    assert told == METRICS
