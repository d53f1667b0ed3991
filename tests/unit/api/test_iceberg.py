"""`format: iceberg` and what of a table is read."""

from collections.abc import Callable
from typing import Any

from runwright_api import load_object
from runwright_pipelines.lowering import lower

Make = Callable[..., dict[str, Any]]


def test_the_stage_is_told_the_snapshot(make: Make) -> None:
    options = {"time": "2026-01-31T00:00:00Z", "columns": ["a", "y"], "filter": "a > 1"}
    given = {"s3": {"uri": "s3://lake/table/"}, "format": "iceberg", "iceberg": options}
    (source,) = lower(load_object(make({"spec.data.sources.0": given}))).collect.sources
    assert (source.uri, source.format, source.delta) == ("s3://lake/table/", None, None)
    assert source.iceberg is not None
    assert source.iceberg.model_dump(exclude_none=True) == {**options, "columns": ("a", "y")}


def test_without_the_format_there_is_no_table(make: Make) -> None:
    (source,) = lower(load_object(make({"spec.data.sources.0": {"path": "a.csv"}}))).collect.sources
    assert source.iceberg is None
