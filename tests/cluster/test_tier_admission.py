"""The API server knows our kind: it is served, bad specs are refused with our words, large ones are let in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.tier.api import Api, Refused

Run = dict[str, Any]
KIND = ("runwright.dev/v1alpha1", "TrainingRun")


def test_the_crd_is_established(api: Api) -> None:
    crd = api.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "trainingruns.runwright.dev")
    assert api.condition(crd, "Established")["status"] == "True"
    assert api.condition(crd, "NonStructuralSchema") == {}


def test_a_run_is_admitted_and_found_by_its_short_name(
    api: Api, namespace: str, smallest: Callable[[str, str], Run], kubectl: Callable[..., Any]
) -> None:
    api.create(smallest(namespace, "penguins"))
    assert "penguins" in kubectl("get", "trun", "-n", namespace).stdout
    assert "sources" in kubectl("explain", "trun.spec.data").stdout


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no source", {"data": {"sources": []}}, "should have at least 1 items"),
    ("two places", {"data": {"sources": [{"path": "a.csv", "http": {"url": "https://example.com/a"}}]}}, "exactly one"),
    ("no target", {"prepare": {"duplicates": "drop"}}, "target"),
    ("shares", {"prepare": {"target": "y", "split": {"train": 0.9, "validation": 0.9}}}, "split"),
    ("model", {"train": {"task": "tabular-classification", "model": {"name": "cnn"}}}, "model"),
    ("empty bound", {"evaluate": {"gate": [{"metric": "accuracy"}]}}, "min"),
    ("unknown word", {"deploy": {"mode": "Sideways"}}, "Unsupported value"),
    ("braces", {"data": {"sources": [{"path": "data/{{inputs.x}}.csv"}]}}, "should match"),
]


@pytest.mark.parametrize(("part", "words"), [(part, words) for _, part, words in BAD], ids=[case[0] for case in BAD])
def test_a_bad_spec_is_refused(
    api: Api, namespace: str, smallest: Callable[[str, str], Run], part: Run, words: str
) -> None:
    run = smallest(namespace, "bad")
    run["spec"] |= part
    with pytest.raises(Refused) as refused:
        api.create(run, dry_run=True)
    assert refused.value.status == 422
    assert words in refused.value.message


def test_a_spec_at_its_limits_is_admitted(api: Api, namespace: str, smallest: Callable[[str, str], Run]) -> None:
    """The cost of each CEL rule is bounded by the sizes that the schema allows; here they are all used."""
    run = smallest(namespace, "large")
    run["spec"]["data"]["sources"] = [{"name": f"source-{n}", "path": f"{n:04}{'x' * 1020}"} for n in range(16)]
    columns = [{"name": f"column-{n:04}", "type": "numeric", "missing": "median"} for n in range(1000)]
    run["spec"]["prepare"] |= {"columns": columns, "missing": {"words": [f"word-{n}" for n in range(64)]}}
    run["spec"]["evaluate"] = {
        "slices": [f"column-{n:04}" for n in range(64)],
        "gate": [{"metric": "accuracy", "min": 0.5, "slice": f"column-{n:04}={'x' * 64}"} for n in range(32)],
    }
    run["spec"]["train"] |= {
        "model": {"name": "mlp", "hidden": [64] * 32},
        "scheduling": {
            "nodeSelector": {f"example.com/label-{n}": "x" * 63 for n in range(32)},
            "tolerations": [{"key": f"example.com/taint-{n}", "operator": "Exists"} for n in range(32)],
        },
    }
    created = api.create(copy.deepcopy(run))
    assert created["spec"]["prepare"]["columns"] == columns


def test_a_run_is_changed_by_server_side_apply(api: Api, namespace: str, smallest: Callable[[str, str], Run]) -> None:
    run = smallest(namespace, "penguins")
    api.apply(run)
    run["spec"]["train"]["epochs"] = 3
    assert api.apply(run)["metadata"]["generation"] == 2
    assert api.apply(run)["metadata"]["generation"] == 2
