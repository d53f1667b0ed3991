"""Checkpoints are whole or absent, and damage is noticed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.train import checkpoints
from runwright_components.train.checkpoints import STATE, Checkpoint, CheckpointStore, Snapshot
from runwright_components.train.launch import begin_anew
from runwright_components.train.shards import shard_name

TENSORS = shard_name(0)


def snapshot(step: int, recipe: str = "recipe") -> Snapshot:
    return Snapshot(step, recipe, {"epoch": step}, {"weight": torch.full((4,), float(step))})


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> Iterator[CheckpointStore]:
    store = CheckpointStore(tmp_path / "checkpoints", keep=2, warn=warnings.append)
    store.open(resume=False)
    yield store
    store.close()


def weight(found: Checkpoint) -> torch.Tensor:
    tensor = found.blank("weight")
    found.fill({"weight": tensor})
    return tensor


def fill(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        store.save(snapshot(step))
    store.wait()


def test_what_is_saved_comes_back(store: CheckpointStore) -> None:
    fill(store, 7)
    found = store.newest("recipe")
    assert found is not None
    assert (found.step, found.state) == (7, {"epoch": 7})
    assert weight(found).tolist() == [7.0] * 4


def test_only_the_newest_are_kept(store: CheckpointStore) -> None:
    fill(store, 1, 2, 3)
    assert store.steps() == [3, 2]
    assert not list(store.folder.glob(".step-*"))


@pytest.mark.parametrize("name", [TENSORS, STATE])
@pytest.mark.parametrize("damage", ["altered", "truncated", "missing"])
def test_a_damaged_newest_falls_back_to_the_one_before(
    store: CheckpointStore, warnings: list[str], name: str, damage: str
) -> None:
    fill(store, 1, 2)
    path = store.folder / "step-000000002" / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        place = content.index(b"epoch") if name == STATE else len(content) - 1
        content[place] ^= 1
        path.write_bytes(content)
    found = store.newest("recipe")
    assert found is not None
    assert found.step == 1
    assert len(warnings) == 1
    assert "checkpoint of step 2 is damaged" in warnings[0]


def test_state_of_another_step_is_noticed(store: CheckpointStore) -> None:
    fill(store, 1, 2)
    path = store.folder / "step-000000002" / STATE
    document = json.loads(path.read_bytes())
    document["step"] = 9
    path.write_text(json.dumps(document))
    with pytest.raises(StageError, match="altered"):
        store.load(2)


def test_nothing_whole_is_an_error_that_says_what_to_do(store: CheckpointStore) -> None:
    fill(store, 1)
    (store.folder / "step-000000001" / TENSORS).write_bytes(b"")
    with pytest.raises(StageError, match="every checkpoint is damaged") as caught:
        store.newest("recipe")
    assert caught.value.reason is Reason.CHECKPOINT_INVALID
    assert "--resume" in caught.value.cure


def test_another_recipe_is_an_error(store: CheckpointStore) -> None:
    fill(store, 1)
    with pytest.raises(StageError, match="another configuration") as caught:
        store.newest("other")
    assert caught.value.reason is Reason.CHECKPOINT_INVALID


def test_no_checkpoint_is_a_fresh_start(store: CheckpointStore) -> None:
    assert store.newest("recipe") is None


def test_opening_removes_halves_and_unless_resuming_all(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for resume, kept in ((False, [5]), (True, [6, 5]), (False, [7])):
        store = CheckpointStore(folder, keep=3, warn=lambda message: None)
        store.open(resume=resume)
        fill(store, kept[0])
        (folder / ".step-killed").mkdir()
        assert store.steps() == kept
        store.close()
    store = CheckpointStore(folder, keep=3, warn=lambda message: None)
    store.open(resume=True)
    assert not (folder / ".step-killed").exists()
    store.close()


def test_a_second_training_in_the_same_folder_is_refused(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LOCK_SECONDS", 0.2)
    other = CheckpointStore(store.folder, keep=2, warn=lambda message: None)
    with pytest.raises(StageError, match="another training"):
        other.open(resume=True)
    other.close()


def test_a_write_that_fails_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", keep=2, warn=lambda message: None)
    store.open(resume=False)
    fill(store, 1)
    # Two names for one storage: safetensors refuses to write them.
    shared = torch.zeros(4)
    store.save(Snapshot(2, "recipe", {}, {"one": shared, "two": shared}))
    with pytest.raises(RuntimeError, match="share memory"):
        store.close()
    assert store.steps() == [1]
    assert not list(store.folder.glob(".step-*"))


def test_old_checkpoints_are_gone_before_a_worker_starts(tmp_path: Path) -> None:
    (tmp_path / "step-000000001").mkdir()
    begin_anew(tmp_path)
    assert not list(tmp_path.glob("step-*"))
    begin_anew(tmp_path)  # the folder is free for the workers
