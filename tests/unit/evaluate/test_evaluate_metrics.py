"""Metrics against counts made by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from runwright_components.evaluate import classification, regression

THREE = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.5, 0.3],
        [0.1, 0.8, 0.1],
        [0.3, 0.3, 0.4],
        [0.5, 0.4, 0.1],
    ]
)
THREE_TRUTH = np.array([0, 1, 1, 1, 2, 2])


def test_counts_made_by_hand() -> None:
    # predicted 0 0 1 1 2 0
    found = classification.metrics(THREE, THREE_TRUTH, bins=10)
    assert classification.confusion(THREE, THREE_TRUTH).tolist() == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]
    assert found["accuracy"] == 4 / 6
    assert found["errorRate"] == 2 / 6
    assert found["balancedAccuracy"] == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert found["precisionMacro"] == pytest.approx((1 / 3 + 1 + 1) / 3)
    assert found["f1Macro"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    assert found["recallWeighted"] == pytest.approx(4 / 6)
    likelihood = np.array([0.7, 0.3, 0.5, 0.8, 0.4, 0.1])
    assert found["logLoss"] == pytest.approx(-np.log(likelihood).mean())


def test_per_class_by_hand() -> None:
    first, second, third = classification.per_class(classification.confusion(THREE, THREE_TRUTH), ("a", "b", "c"))
    assert (first.label, first.precision, first.recall, first.f1, first.support) == ("a", 1 / 3, 1.0, 0.5, 1)
    assert (second.precision, second.recall, second.support) == (1.0, 2 / 3, 3)
    assert (third.precision, third.recall, third.support) == (1.0, 0.5, 2)


def test_nine_of_ten_is_the_number_that_a_bound_names() -> None:
    probabilities = np.tile([0.9, 0.1], (10, 1))
    truth = np.array([0] * 9 + [1])
    assert classification.metrics(probabilities, truth, bins=10)["accuracy"] == 0.9


def random_case(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(classes), rows), generator.integers(0, classes, rows)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 80), classes=st.integers(2, 5))
def test_agrees_with_scikit_learn(seed: int, rows: int, classes: int) -> None:
    probabilities, truth = random_case(seed, rows, classes)
    predicted = probabilities.argmax(axis=1)
    found = classification.metrics(probabilities, truth, bins=10)
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "balancedAccuracy": sk.recall_score(
            truth, predicted, labels=np.unique(truth), average="macro", zero_division=0
        ),
        "precisionMacro": sk.precision_score(truth, predicted, average="macro", zero_division=0),
        "recallMacro": sk.recall_score(truth, predicted, average="macro", zero_division=0),
        "f1Macro": sk.f1_score(truth, predicted, average="macro", zero_division=0),
        "precisionWeighted": sk.precision_score(truth, predicted, average="weighted", zero_division=0),
        "recallWeighted": sk.recall_score(truth, predicted, average="weighted", zero_division=0),
        "f1Weighted": sk.f1_score(truth, predicted, average="weighted", zero_division=0),
        "logLoss": sk.log_loss(truth, probabilities, labels=range(classes)),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    present = [index for index in range(classes) if 0 < (truth == index).sum() < rows]
    if classes == 2:
        present = [index for index in present if index == 1]
    if present:
        areas = [sk.roc_auc_score(truth == index, probabilities[:, index]) for index in present]
        assert found["rocAuc"] == pytest.approx(np.mean(areas), abs=2e-6)
    else:
        assert "rocAuc" not in found


def test_classes_absent_from_the_test_split() -> None:
    probabilities, _ = random_case(1, 40, 6)
    truth = np.random.default_rng(2).choice([0, 3, 4], 40)
    found = classification.metrics(probabilities, truth, bins=5)
    assert all(np.isfinite(list(found.values())))
    areas = [sk.roc_auc_score(truth == index, probabilities[:, index]) for index in (0, 3, 4)]
    assert found["rocAuc"] == pytest.approx(np.mean(areas), abs=2e-6)
    recalls = sk.recall_score(truth, probabilities.argmax(axis=1), labels=[0, 3, 4], average=None, zero_division=0)
    assert found["balancedAccuracy"] == pytest.approx(np.mean(recalls))
    assert [curve.label for curve in classification.roc(probabilities, truth, "abcdef")] == ["a", "d", "e"]


def test_one_row() -> None:
    found = classification.metrics(np.array([[0.25, 0.75]]), np.array([1]), bins=10)
    assert found["accuracy"] == found["balancedAccuracy"] == found["f1Macro"] == 1.0
    assert "rocAuc" not in found
    assert found["calibrationError"] == pytest.approx(0.25)
    assert classification.roc(np.array([[0.25, 0.75]]), np.array([1]), ("a", "b")) == ()


def test_ties_go_to_the_first_class_and_halve_the_area() -> None:
    probabilities = np.full((8, 2), 0.5)
    truth = np.array([0, 1] * 4)
    found = classification.metrics(probabilities, truth, bins=10)
    assert found["accuracy"] == 0.5
    assert found["rocAuc"] == 0.5
    assert classification.confusion(probabilities, truth).tolist() == [[4, 0], [4, 0]]


def test_perfectly_separable() -> None:
    truth = np.array([0, 1, 2] * 7)
    probabilities = np.eye(3)[truth]
    found = classification.metrics(probabilities, truth, bins=10)
    for name in ("accuracy", "balancedAccuracy", "precisionMacro", "f1Weighted", "rocAuc"):
        assert found[name] == 1.0
    for name in ("errorRate", "logLoss", "calibrationError"):
        assert found[name] == 0.0


def test_certain_and_wrong_has_a_finite_log_loss() -> None:
    found = classification.metrics(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1]), bins=10)
    assert found["logLoss"] == pytest.approx(-np.log(np.finfo(float).eps) / 2)


@pytest.mark.parametrize("bins", [1, 4, 10, 15])
def test_calibration_agrees_with_torchmetrics(bins: int) -> None:
    probabilities, truth = random_case(3, 200, 3)
    found = classification.calibration(probabilities, truth, bins=bins)
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(truth), num_classes=3, n_bins=bins, norm="l1"
    )
    assert len(found.count) == bins
    assert sum(found.count) == 200
    assert found.error == pytest.approx(float(expected), abs=1e-6)


def test_calibration_by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
    found = classification.calibration(probabilities, np.array([0, 1, 1, 1]), bins=10)
    assert found.count == (0, 0, 0, 0, 0, 0, 2, 0, 0, 2)
    assert found.accuracy[6] == 1.0
    assert found.accuracy[9] == 0.5
    assert found.error == pytest.approx((2 * 0.35 + 2 * 0.45) / 4)


def test_roc_is_thinned_and_keeps_its_ends() -> None:
    probabilities, truth = random_case(4, 1500, 2)
    (curve,) = classification.roc(probabilities, truth, ("no", "yes"))
    assert curve.label == "yes"
    assert len(curve.fpr) == len(curve.tpr) == len(curve.thresholds) <= classification.ROC_POINTS
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert np.isfinite(curve.thresholds).all()


def test_roc_of_many_classes_shows_the_frequent_ones() -> None:
    probabilities, truth = random_case(5, 600, 30)
    curves = classification.roc(probabilities, truth, [str(index) for index in range(30)])
    support = np.bincount(truth, minlength=30)
    assert len(curves) == classification.ROC_CURVES
    assert min(support[int(curve.label)] for curve in curves) >= np.sort(support)[-classification.ROC_CURVES]


def test_regression_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(1e7, 3.0, 300)
    values = truth + generator.normal(0, 1.0, 300)
    found = regression.metrics(values, truth)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, values), rel=1e-12)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, values), rel=1e-12)
    assert found["r2"] == pytest.approx(sk.r2_score(truth, values), rel=1e-9)


def test_regression_by_hand() -> None:
    found = regression.metrics(np.array([1.0, 2.0, 5.0]), np.array([1.0, 3.0, 3.0]))
    assert found == pytest.approx({"mae": 1.0, "rmse": (5 / 3) ** 0.5, "r2": 1 - 5 / (8 / 3)})


@pytest.mark.parametrize("truth", [[3.0], [3.0, 3.0, 3.0]])
def test_r2_is_left_out_where_the_truth_does_not_vary(truth: list[float]) -> None:
    found = regression.metrics(np.full(len(truth), 2.0), np.array(truth))
    assert found == {"mae": 1.0, "rmse": 1.0}


def test_residuals_are_bounded_and_keep_the_extremes() -> None:
    truth = np.random.default_rng(0).normal(size=5000)
    pairs = regression.residuals(truth * 2, truth)
    assert len(pairs) <= regression.RESIDUALS
    assert pairs[0] == (truth.min(), truth.min() * 2)
    assert pairs[-1][0] == truth.max()
