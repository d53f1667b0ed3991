"""What a revision leaves in storage for the one after it."""

from pathlib import Path

import pytest

from runwright_components.contract.cluster import ClusterRun
from runwright_components.steps.former import former_place
from runwright_components.steps.running import Surroundings
from runwright_components.steps.surroundings import surroundings

from .conftest import RUN_ID


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"file://{tmp_path}/storage/team/churn/uid"


def _revision(run: ClusterRun, storage: str, number: int) -> ClusterRun:
    there = run.storage.model_copy(update={"uri": f"{storage}/r{number}"})
    return run.model_copy(update={"revision": number, "storage": there})


def _leave(run: ClusterRun, text: str, folder: Path) -> None:
    path = folder / "memory"
    path.write_text(text)
    with surroundings(run.canonical(), RUN_ID):
        Surroundings(None).leave("prepare", "prepared_data", {"sub/memory": path})


def _former(run: ClusterRun) -> str | None:
    with surroundings(run.canonical(), RUN_ID):
        here = Surroundings(None)
        found = here.former("prepare", "prepared_data")
        return None if found is None else (found / "sub" / "memory").read_text()


def test_a_revision_finds_what_the_newest_before_it_left(run: ClusterRun, storage: str, tmp_path: Path) -> None:
    first, second, fourth, tenth = (_revision(run, storage, number) for number in (1, 2, 4, 10))
    assert _former(first) is None
    _leave(first, "one", tmp_path)
    assert _former(first) is None  # another attempt at it begins like the first
    assert _former(second) == "one"
    _leave(fourth, "four", tmp_path)
    assert (_former(second), _former(fourth), _former(tenth)) == ("one", "one", "four")


def test_one_that_left_half_or_nothing_is_passed_over(run: ClusterRun, storage: str, tmp_path: Path) -> None:
    first, second, third = (_revision(run, storage, number) for number in (1, 2, 3))
    _leave(first, "one", tmp_path)
    half = Path(second.storage.uri.removeprefix("file://")) / "left/prepare/prepared_data"
    half.mkdir(parents=True)
    (half / "memory").write_text("cut off")
    found = former_place(third, "prepare", "prepared_data")
    assert found is not None
    assert found.uri.endswith("/r1/left/prepare/prepared_data")
    assert former_place(third, "collect", "raw_data") is None


def test_without_a_cluster_and_a_workspace_there_is_none(tmp_path: Path) -> None:
    here = Surroundings(None)
    here.leave("prepare", "prepared_data", {"memory": tmp_path})
    assert here.former("prepare", "prepared_data") is None
