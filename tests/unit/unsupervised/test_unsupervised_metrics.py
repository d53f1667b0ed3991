"""The judges of models without a target, on rows whose answers are known."""

import numpy as np
import pytest

from runwright_components.evaluate.unsupervised import anomaly, clustering, embedding
from runwright_components.features.unsupervised import answers

SCORES = np.array([0.1, 0.2, 0.6, 0.9])


def test_verdicts_and_ranks_of_labelled_rows() -> None:
    found = anomaly.metrics(SCORES, np.array([False, True, False, True]))
    assert found["precision"] == 0.5
    assert found["recall"] == 0.5
    assert found["f1"] == 0.5
    assert found["rocAuc"] == 0.75
    assert found["averagePrecision"] == pytest.approx((1 + 2 / 3) / 2)


def test_scores_alone_tell_how_many_and_how_far() -> None:
    assert anomaly.metrics(SCORES, None) == {"anomalyShare": 0.5, "medianScore": pytest.approx(0.4)}


def test_ranks_need_both_classes() -> None:
    assert anomaly.ranking(SCORES, np.zeros(4, dtype=np.bool_)) == {}
    assert set(anomaly.metrics(SCORES, np.zeros(4, dtype=np.bool_))) == {"anomalyShare", "medianScore"}
    assert "rocAuc" not in anomaly.metrics(SCORES, np.ones(4, dtype=np.bool_))


def test_no_verdict_has_no_precision() -> None:
    found = anomaly.metrics(SCORES / 10, np.array([False, True, False, True]))
    assert (found["precision"], found["recall"], found["f1"]) == (0.0, 0.0, 0.0)


def test_the_histogram_parts_at_the_threshold() -> None:
    found = anomaly.histogram(SCORES, np.array([False, True, False, True]))
    assert found.threshold in found.edges
    above = [count for edge, count in zip(found.edges, found.normal, strict=False) if edge >= found.threshold]
    assert sum(above) == 1
    assert sum(found.anomalous) == 2


def test_the_distance_from_the_mean_counts_deviations() -> None:
    training = np.array([[0.0, 5.0], [2.0, 5.0]], dtype=np.float32)
    found = anomaly.distances(training, np.array([[3.0, 6.0]], dtype=np.float32))
    assert found.tolist() == [5.0]  # 2 deviations, and 1 of a constant column


def test_one_cluster_has_no_silhouette() -> None:
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert clustering.metrics(rows, np.zeros(4, dtype=np.int64)) == {"clusters": 1.0, "smallestCluster": 1.0}
    assert clustering.separation(rows, np.arange(4)) == {}
    assert clustering.agreement(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)) == {}


def test_clusters_that_are_the_labels_agree() -> None:
    labels = np.array([1, 1, 0, 0])
    assert clustering.agreement(1 - labels, labels) == {"adjustedRand": 1.0, "normalizedMutualInformation": 1.0}


def test_the_baseline_cuts_the_first_component_into_equal_shares() -> None:
    rows = np.stack([np.arange(9), np.zeros(9)], axis=1).astype(np.float32)
    found = clustering.sliced(rows, rows, 3)
    assert sorted(np.bincount(found).tolist()) == [3, 3, 3]


def test_neighbours_vote() -> None:
    known = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    rows = np.array([[0.1], [5.1], [5.0]])
    assert embedding.right(known, labels, rows, np.array([0, 1, 0])).tolist() == [True, True, False]


def test_too_few_rows_have_no_trustworthiness() -> None:
    assert embedding.trust(np.zeros((10, 2), dtype=np.float32), np.zeros((10, 1))) == {}


def test_components_are_no_more_than_the_inputs() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    training, test = embedding.principal(rows, 8, rows[:2])
    assert training.shape == (6, 3)
    assert test.shape == (2, 3)


def test_the_answers_by_the_graphs_output() -> None:
    assert answers({"score": np.array([0.5, 0.51], dtype=np.float32)})["anomaly"].tolist() == [False, True]
    assert answers({"distances": np.array([[2.0, 1.0]], dtype=np.float32)})["cluster"].tolist() == [1]
    assert answers({"embedding": np.zeros((1, 2), dtype=np.float32)})["embedding"].dtype == np.float64
