"""A tier that is killed leaves nothing that runs, and the next one finds the images that it had."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.tier.binaries import cache
from tests.cluster.waiting import eventually
from tests.node.conftest import pushed_busybox, required
from tests.node.pods import ended, pod, ready
from tests.node.tier.cluster import NodeTier
from tests.node.tier.inside import CGROUPS
from tests.node.tier.place import GivenNode

pytestmark = pytest.mark.slow

FOR_EVER = "86399"
ROOT = Path(__file__).parents[2]
HOLDER = """
import json, pathlib, sys, time
from tests.node.tier.cluster import NodeTier
folder = pathlib.Path(sys.argv[1])
tier = NodeTier.start(folder)
(folder / "state.json").write_text(json.dumps(tier.describe()))
print("ready", flush=True)
time.sleep(3600)
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the same programs and no image, so that this tier runs beside that of the session."""
    required()
    for name in ("bin", "modules"):
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / name).symlink_to(cache() / name)
    monkeypatch.setenv("RUNWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@contextmanager
def _held(folder: Path) -> Iterator[GivenNode]:
    """A tier in a process of its own, which is killed in the end."""
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            yield GivenNode(folder / "state.json")
        finally:
            holder.kill()


def test_a_killed_tier_leaves_nothing_and_the_next_one_has_its_images(own_cache: Path, tmp_path: Path) -> None:
    with _held(tmp_path / "first") as first:
        reference = pushed_busybox(first, tmp_path)
        eventually(lambda: first.api.find("v1", "ServiceAccount", "default", "default"))
        first.api.create(pod("long", "default", reference, "sleep", FOR_EVER))
        ready(first.api, "default", "long")
        assert _processes_of(tmp_path / "first")
        assert _pods()
    eventually(lambda: not _processes_of(tmp_path / "first"))
    eventually(lambda: not _pods())
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    shutil.rmtree(tmp_path / "first")

    with NodeTier.start(tmp_path / "second") as second:
        slot = second.network.name
        eventually(lambda: second.api.find("v1", "ServiceAccount", "default", "default"))
        second.api.create(pod("again", "default", reference, "echo", "no pull"))
        ended(second.api, "default", "again")
        said = [event["message"] for event in second.api.list("v1", "Event", "default") if event["reason"] == "Pulled"]
        assert said == [f'Container image "{reference}" already present on machine']
    assert not [path for path in CGROUPS.rglob(f"*{slot}*") if path.is_dir()]
    assert not _pods()


def _processes_of(folder: Path) -> list[str]:
    """Command lines that name a folder."""
    return [line for line in _command_lines() if str(folder) in line]


def _pods() -> list[str]:
    """The pod's own command, as the machine sees it."""
    return [line for line in _command_lines() if line.startswith(f"sleep {FOR_EVER}")]


def _command_lines() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
