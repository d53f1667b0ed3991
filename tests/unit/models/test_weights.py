import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from runwright_components.models import save_tensors, untied


def test_tied_weights_are_kept_once(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    module[1].weight = module[0].weight
    kept = untied(module.state_dict())
    assert list(kept) == ["0.weight"]
    save_tensors(kept, tmp_path / "weights.safetensors")
    assert torch.equal(load_file(tmp_path / "weights.safetensors")["0.weight"], module[0].weight)


def test_names_are_sorted_and_views_of_one_storage_stay_apart() -> None:
    whole = torch.arange(4.0)
    assert list(untied({"b": whole[:2], "a": whole[2:], "c": whole})) == ["a", "b", "c"]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process may have 4 KiB; Python ignores the signal, so a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_disk_that_takes_no_more_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        save_tensors({"weight": torch.zeros(10_000)}, tmp_path / "weights.safetensors")
    assert caught.value.errno == errno.EFBIG
