"""Joins, splits and features from the YAML to the configurations of collect and prepare."""

from __future__ import annotations

from typing import Any

from runwright_api.loading import load_object
from runwright_components.contract.config import AsOfConfig, JoinConfig, PrepareConfig, parse
from runwright_pipelines.lowering import StageConfigs, lower


def lowered(data: dict[str, Any], prepare: dict[str, Any]) -> StageConfigs:
    run = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "kept"},
        "spec": {
            "data": {
                "sources": [{"path": "a.csv"}, {"name": "b", "path": "b.csv"}, {"name": "c", "path": "c.csv"}],
                **data,
            },
            "prepare": {"target": "y", **prepare},
            "train": {"task": "tabular-classification"},
        },
    }
    return lower(load_object(run))


def test_a_join_tells_collect_its_key_and_its_seconds() -> None:
    asof = {"left": "day", "right": "since", "tolerance": "1h30m", "formats": ["%d.%m.%Y"]}
    joins = [{"source": "b", "by": ["id"]}, {"source": "c", "left": ["id"], "right": ["who"], "asof": asof}]
    assert lowered({"joins": joins}, {}).collect.joins == (
        JoinConfig(source="b", left=("id",), right=("id",)),
        JoinConfig(
            source="c",
            left=("id",),
            right=("who",),
            asof=AsOfConfig(left="day", right="since", tolerance_seconds=5400, formats=("%d.%m.%Y",)),
        ),
    )


def test_features_come_to_prepare_as_they_are_written() -> None:
    prepare = {
        "split": {"strategy": "hash", "by": "id", "seed": 3},
        "numeric": {
            "scale": "power",
            "bins": {"count": 4, "encode": "onehot"},
            "polynomial": {"interactionsOnly": True},
        },
        "categorical": {"encode": "target", "folds": 3},
        "columns": [{"name": "size", "encode": "ordinal", "order": ["S", "M"]}],
        "dates": {"parts": ["day"], "cyclic": False},
        "tfidf": {"words": 2},
        "select": {"keep": 5},
    }
    config = lowered({}, prepare).prepare
    assert (config.split.strategy, config.split.by, config.split.seed) == ("hash", "id", 3)
    bins, polynomial = config.numeric.bins, config.numeric.polynomial
    assert bins is not None
    assert polynomial is not None
    assert (bins.count, bins.edges, bins.encode) == (4, "quantile", "onehot")
    assert (polynomial.degree, polynomial.interactions_only) == (2, True)
    assert (config.categorical.encode, config.categorical.folds, config.categorical.smoothing) == ("target", 3, 10.0)
    assert config.columns[0].order == ("S", "M")
    assert config.dates is not None
    assert config.tfidf is not None
    assert config.select is not None
    assert (config.dates.parts, config.dates.cyclic) == (("day",), False)
    assert (config.tfidf.words, config.tfidf.dimensions) == (2, 32)
    assert (config.select.method, config.select.keep) == ("mutualInformation", 5)
    assert parse(PrepareConfig, config.canonical()) == config
