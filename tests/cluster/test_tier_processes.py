"""Nothing outlives its tier: not a process whose starter was killed, not a network whose holder is gone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.tier.cluster import refusal
from tests.cluster.tier.network import Network
from tests.cluster.tier.processes import Process, ProcessDied
from tests.cluster.waiting import eventually
from tests.machine import unable

ROOT = Path(__file__).parents[2]
STARTER = """
import pathlib, sys, time
from tests.cluster.tier.processes import spawn
print(spawn(["sleep", "600"], log=pathlib.Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _possible() -> None:
    if reason := refusal():
        unable(reason)


@pytest.fixture
def networks() -> Iterator[list[Network]]:
    claimed: list[Network] = []
    yield claimed
    for network in claimed:
        network.release()


def _process(tmp_path: Path, script: str, ready: bool = True) -> Process:
    return Process("example", ["sh", "-c", script], log=tmp_path / "log", ready=lambda: ready)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_process_dies_with_a_starter_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert _runs(pid)
        starter.kill()
    eventually(lambda: not _runs(pid), 20)


def test_one_that_dies_tells_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ProcessDied, match="example ended with 3; its last lines:\nno such disk"):
        _process(tmp_path, "echo no such disk; exit 3", ready=False).start(wait=5)


def test_one_that_is_never_ready_tells_so(tmp_path: Path) -> None:
    process = _process(tmp_path, "echo waiting; exec sleep 600", ready=False)
    try:
        with pytest.raises(ProcessDied, match="not ready in 0 s"):
            process.start(wait=0.2)
    finally:
        process.stop()


def test_a_paused_process_is_stopped_all_the_same(tmp_path: Path) -> None:
    process = _process(tmp_path, "exec sleep 600")
    process.start()
    process.pause()
    began = time.monotonic()
    process.stop()
    assert not process.running
    assert time.monotonic() - began < 5


def test_one_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    process = _process(tmp_path, "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    process.start()
    eventually(lambda: "deaf" in process.tail(), 5)
    process.stop(grace=0.2)
    assert not process.running


def test_no_credential_of_ours_reaches_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    process = _process(tmp_path, "env; exec sleep 600")
    process.start()
    eventually(lambda: "PATH=" in process.tail(), 5)
    process.stop()
    assert "AWS_SECRET_ACCESS_KEY" not in process.tail(lines=1000)


def test_networks_do_not_meet(networks: list[Network]) -> None:
    networks += [Network.claim(), Network.claim()]
    first, second = networks
    assert {first.inside, first.outside}.isdisjoint({second.inside, second.outside})
    seen = subprocess.run([*first.enter, "ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout
    assert first.inside in seen
    assert second.inside not in seen
    assert not subprocess.run([*first.enter, "ip", "route", "show", "default"], capture_output=True).stdout


def test_what_a_killed_holder_left_is_taken_over(networks: list[Network]) -> None:
    left = Network.claim()
    left.lock.close()  # as the kernel does for a holder that was killed
    networks.append(Network.claim([left.slot]))
    assert Path(f"/run/netns/{left.name}").exists()


def test_a_slot_that_is_taken_is_left_alone(networks: list[Network]) -> None:
    networks.append(Network.claim())
    with pytest.raises(RuntimeError, match="taken"):
        Network.claim([networks[0].slot])
