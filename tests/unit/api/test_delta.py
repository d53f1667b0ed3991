"""`format: delta` and the version of a table."""

from collections.abc import Callable
from typing import Any

import pytest

from runwright_api import SpecError, load_object
from runwright_pipelines.lowering import lower

Make = Callable[..., dict[str, Any]]


def test_the_stage_is_told_the_version(make: Make) -> None:
    given = {"azure": {"uri": "az://lake/table", "account": "acme"}, "format": "delta", "delta": {"version": 7}}
    (source,) = lower(load_object(make({"spec.data.sources.0": given}))).collect.sources
    assert source.delta is not None
    assert (source.uri, source.delta.version, source.format) == ("az://lake/table", 7, None)


def test_without_the_format_there_is_no_table(make: Make) -> None:
    (source,) = lower(load_object(make({"spec.data.sources.0": {"path": "a.csv"}}))).collect.sources
    assert source.delta is None


@pytest.mark.parametrize(
    ("given", "path", "cure"),
    [
        (
            {"http": {"url": "https://data.example.com/table"}, "format": "delta"},
            "spec.data.sources[0].format",
            "give its folder with path, s3, gcs or azure",
        ),
        (
            {"path": "table", "delta": {"version": 7}},
            "spec.data.sources[0].delta.version",
            "set `format: delta`, or remove the version",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Make, given: dict[str, Any], path: str, cure: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_object(make({"spec.data.sources.0": given}))
    (problem,) = caught.value.problems
    assert (problem.path, problem.cure) == (path, cure)
