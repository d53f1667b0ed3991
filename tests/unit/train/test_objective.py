import pytest
import torch
from sklearn.metrics import log_loss, r2_score
from torch.nn import functional

from runwright_components.train.objective import Objective, balanced_weights


def test_class_weights_are_balanced_with_mean_one() -> None:
    counts = torch.tensor([10, 30, 0])
    weights = balanced_weights(counts)
    assert weights.tolist() == pytest.approx([40 / 30, 40 / 90, 0.0])


def test_weighted_losses_of_batches_add_up() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(30, 3), torch.randint(0, 3, (30,))
    objective = Objective("classification", weights=torch.tensor([1.0, 2.0, 0.5]), smoothing=0.1)
    parts = [objective.loss(logits[:10], target[:10]) * 10, objective.loss(logits[10:], target[10:]) * 20]
    assert torch.isclose(sum(parts) / 30, objective.loss(logits, target))


def test_smoothing_is_in_training_and_not_in_validation() -> None:
    logits, target = torch.tensor([[4.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 1])
    objective = Objective("classification", smoothing=0.2)
    plain = functional.cross_entropy(logits, target)
    assert objective.loss(logits, target) > plain
    assert objective.summarize(objective.sums(logits, target)).loss == pytest.approx(plain.item())


def test_validation_of_a_classifier_is_scikit_learns() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(50, 3), torch.randint(0, 3, (50,))
    objective = Objective("classification")
    sums = objective.sums(logits[:20], target[:20]) + objective.sums(logits[20:], target[20:])
    result = objective.summarize(sums)
    assert result.loss == pytest.approx(log_loss(target, logits.double().softmax(1), labels=[0, 1, 2]), rel=1e-5)
    assert result.metric == pytest.approx((logits.argmax(1) == target).float().mean().item())


def test_validation_of_a_regression_is_scikit_learns() -> None:
    torch.manual_seed(0)
    target = torch.randn(50)
    value = target + 0.3 * torch.randn(50)
    objective = Objective("regression")
    sums = objective.sums(value[:20], target[:20]) + objective.sums(value[20:], target[20:])
    result = objective.summarize(sums)
    assert result.loss == pytest.approx(functional.mse_loss(value, target).item(), rel=1e-5)
    assert result.metric == pytest.approx(r2_score(target, value), rel=1e-5)


def test_r2_of_a_constant_target_is_zero() -> None:
    objective = Objective("regression")
    assert objective.summarize(objective.sums(torch.ones(3), torch.zeros(3))).metric == 0.0
