"""What collect and prepare make of an environment, and what they say of one that does not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import polars as pl
import pytest
from gymnasium import spaces

from runwright_components.collect import collect, fingerprint
from runwright_components.contract.artifacts import RAW_TEST, PreparedManifest
from runwright_components.contract.config import CollectConfig, EnvironmentConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.environments.episodes import by_chance, play
from runwright_components.environments.opening import read_environment
from runwright_components.environments.spaces import describe_actions, describe_observation, flat_action, own_action
from tests.unit.reinforcement.conftest import Prepared, environment


def _refused(config: EnvironmentConfig, base: Path, out: Path) -> StageError:
    with pytest.raises(StageError) as caught:
        collect(CollectConfig(environment=config, base=str(base), episodes=2), out=out / "raw", progress=silent())
    assert not (out / "raw").exists()
    return caught.value


def test_prepared_data_tell_the_signature_and_carry_the_files(prepared: Prepared) -> None:
    folder = prepared(environment())
    manifest = PreparedManifest.read(folder)
    assert [field.name for field in manifest.signature.inputs] == ["place", "goal"]
    assert [(tensor.name, tensor.shape) for tensor in manifest.signature.tensors] == [
        ("observation", (None, 2)),
        ("action", (None,)),
    ]
    assert manifest.signature.example["goal"] == 4.0
    assert sorted(path.name for path in (folder / "environment").iterdir()) == ["goal.txt", "walk.py"]
    assert pl.read_parquet(folder / RAW_TEST).columns == ["row_id", "place", "goal"]
    assert manifest.rows == {"train": 0, "validation": 0, "test": 48}


def test_the_same_seeds_play_the_same_episodes(prepared: Prepared) -> None:
    _, make = read_environment(prepared(environment()))
    one, other = (play(make, by_chance, [5, 6, 7]) for _ in range(2))
    assert one.returns.tolist() == other.returns.tolist()
    assert len(set(one.returns.tolist())) > 1
    assert one.lengths.tolist() == [12, 12, 12]


def test_a_changed_file_changes_the_fingerprint(base: Path, tmp_path: Path) -> None:
    for name in ("walk.py", "goal.txt"):
        (tmp_path / name).write_text((base / name).read_text())
    config = CollectConfig(environment=environment(), base=str(tmp_path))
    before = fingerprint(config)
    assert fingerprint(config) == before
    (tmp_path / "goal.txt").write_text("3")
    assert fingerprint(config) != before


@pytest.mark.parametrize(
    ("config", "where", "words"),
    [
        (EnvironmentConfig(id="CartPol-v1"), "train.environment.id", "did you mean CartPole-v1"),
        (EnvironmentConfig(id="CartPole-v1", arguments={"gravit": 1}), "train.environment.arguments", "gravit"),
        (EnvironmentConfig(id="Blackjack-v1"), "train.environment", "observations of the space Tuple"),
        (environment(file="wolk.py"), "train.environment.file", "no such file: wolk.py"),
        (environment(class_name="Wolk"), "train.environment.class", "did you mean Walk?"),
        (environment(class_name="Path"), "train.environment.class", "Path is not a gymnasium.Env"),
        (environment(baseline="straigt"), "train.environment.baseline", "did you mean straight?"),
        (environment(arguments={"fault": "raises"}), "train.environment", "in step 3 of an episode: it raised Zero"),
        (environment(arguments={"fault": "nan"}), "train.environment", "in step 2 of an episode: place of the obs"),
        (environment(arguments={"fault": "reward"}), "train.environment", "the reward is nan"),
        (environment(arguments={"fault": "shape"}), "train.environment", "has the shape (3,), its observation_space"),
        (environment(arguments={"fault": "old"}), "train.environment", "does not return (observation, reward, term"),
    ],
)
def test_what_does_not_do_is_said(
    config: EnvironmentConfig, where: str, words: str, base: Path, tmp_path: Path
) -> None:
    error = _refused(config, base, tmp_path)
    assert error.where == where
    assert words in str(error)
    assert error.cure


def test_a_file_that_does_not_import_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_the_kind\n")
    error = _refused(environment(file="broken.py", files=()), tmp_path, tmp_path)
    assert error.reason is Reason.USER_CODE
    assert "broken.py cannot be imported: ModuleNotFoundError" in error.message


@pytest.mark.parametrize(
    ("space", "names", "sizes"),
    [
        (spaces.Box(0, 1, (2, 2)), "observation_0_0 observation_0_1 observation_1_0 observation_1_1", (0, 0, 0, 0)),
        (spaces.Discrete(5), "observation", (5,)),
        (spaces.MultiDiscrete([3, 2]), "observation_0 observation_1", (3, 2)),
        (spaces.MultiBinary(2), "observation_0 observation_1", (2, 2)),
    ],
)
def test_observations_become_fields(space: gymnasium.Space[Any], names: str, sizes: tuple[int, ...]) -> None:
    found = describe_observation(space, {}, where="")
    assert (" ".join(found.names), found.sizes) == (names, sizes)


@pytest.mark.parametrize(
    "space", [spaces.Dict({"a": spaces.Discrete(2)}), spaces.Text(3), spaces.Box(0, 255, (96, 96, 3), np.uint8)]
)
def test_observations_that_cannot_be_fields_are_refused(space: gymnasium.Space[Any]) -> None:
    with pytest.raises(StageError) as caught:
        describe_observation(space, {}, where="train.environment")
    assert caught.value.reason is Reason.UNSUPPORTED


def test_names_are_checked() -> None:
    for names, words in ((["a"], "does not give 2 different names"), (["reward", "b"], "cannot be called 'reward'")):
        with pytest.raises(StageError, match=words):
            describe_observation(spaces.Box(0, 1, (2,)), {"observations": names}, where="")


@pytest.mark.parametrize(
    ("space", "flat", "own"),
    [
        (spaces.Discrete(3, start=2), 1, 3),
        (spaces.MultiDiscrete([2, 3], start=[1, 0]), [0, 2], [1, 2]),
        (spaces.MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (spaces.Box(-1, 1, (2, 1)), [0.5, -0.5], [[0.5], [-0.5]]),
    ],
)
def test_actions_there_and_back(space: gymnasium.Space[Any], flat: Any, own: Any) -> None:
    actions = describe_actions(space, where="")
    given = own_action(actions, flat)
    assert space.contains(given)
    assert np.asarray(given).tolist() == own
    assert np.asarray(flat_action(actions, given)).tolist() == flat


def test_actions_that_cannot_be_learned_are_refused() -> None:
    with pytest.raises(StageError, match=r"actions of the space Box \(int64\)"):
        describe_actions(spaces.Box(0, 9, (1,), np.int64), where="")


def test_the_document_is_json_without_infinities(prepared: Prepared) -> None:
    folder = prepared(EnvironmentConfig(id="CartPole-v1"))
    document = json.loads((folder / "environment.json").read_text())
    assert document["reward_threshold"] == 475.0
    assert document["max_steps"] == 500
