import pytest
import torch

from runwright_components.contract.config import AugmentConfig
from runwright_components.train.augment import Augmenter, hide_tokens
from runwright_components.train.mixing import cutmix, mixup
from runwright_components.train.objective import Objective

EVERYTHING = AugmentConfig(
    crop=True, flip=True, rotate=10, color=0.2, erase=0.5, policy="trivialaugment", mixup=0.4, cutmix=1.0
)


def batch() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    return {"pixels": torch.linspace(0, 1, 6 * 3 * 8 * 8).view(6, 3, 8, 8)}, torch.arange(6)


def test_a_batch_is_changed_the_same_way_at_its_place_and_another_way_elsewhere() -> None:
    seen = []
    for place in ((3, 7, 0, 0), (3, 7, 1, 0), (3, 7, 0, 0)):
        inputs, target = batch()
        torch.rand(len(seen) + 1)  # what was drawn before does not matter
        blend = Augmenter(EVERYTHING, seed=5)(inputs, target, *place)
        seen.append((inputs["pixels"], blend))
    assert torch.equal(seen[0][0], seen[2][0])
    assert seen[0][1].share == seen[2][1].share
    assert not torch.equal(seen[0][0], seen[1][0])


def test_the_generator_of_the_rest_of_training_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    inputs, target = batch()
    Augmenter(EVERYTHING, seed=5)(inputs, target, 0, 0, 0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_asked_changes_nothing() -> None:
    inputs, target = batch()
    same = inputs["pixels"].clone()
    assert Augmenter(AugmentConfig(), seed=0)(inputs, target, 0, 0, 0, 0) is None
    assert torch.equal(inputs["pixels"], same)


def test_hidden_tokens_are_a_share_and_never_the_first() -> None:
    torch.manual_seed(0)
    mask = torch.ones(50, 40, dtype=torch.int64)
    mask[:, 30:] = 0
    kept = hide_tokens(mask, 0.2)
    assert kept[:, 0].all()
    assert kept[:, 30:].sum() == 0
    assert 0.75 < kept[:, 1:30].float().mean() < 0.85


def test_mixup_blends_images_and_labels_by_one_share() -> None:
    torch.manual_seed(0)
    pixels, target = torch.eye(5).view(5, 1, 5, 1), torch.arange(5)
    mixed, blend = mixup(pixels, target, alpha=1.0)
    for row in range(5):
        expected = blend.share * pixels[row] + (1 - blend.share) * pixels[blend.partner[row]]
        assert torch.allclose(mixed[row], expected)


def test_cutmix_pastes_the_area_that_its_share_says() -> None:
    torch.manual_seed(1)
    target = torch.arange(6)
    pixels = target.float().view(6, 1, 1, 1).expand(6, 1, 10, 10)
    mixed, blend = cutmix(pixels, target, alpha=1.0)
    for row in range(6):
        own = (mixed[row] == row).float().mean().item()
        if blend.partner[row] != row:
            assert own == pytest.approx(blend.share)
            assert ((mixed[row] == row) | (mixed[row] == blend.partner[row])).all()


def test_the_loss_of_a_blend_is_that_of_both_targets() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    _, blend = mixup(torch.rand(5, 1, 2, 2), target, alpha=1.0)
    soft = torch.nn.functional.one_hot(target, 3) * blend.share
    soft = soft + torch.nn.functional.one_hot(blend.partner, 3) * (1 - blend.share)
    expected = torch.nn.functional.cross_entropy(logits, soft)
    assert torch.isclose(Objective("classification").loss(logits, target, blend), expected)
