"""One run at a time in a workspace, and no process that outlives its run."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from runwright_components.contract.outcome import ExitCode, StageError
from runwright_components.contract.step import WORKSPACE_ENV
from runwright_pipelines.workspace import Workspace

STEP = textwrap.dedent(
    """
    import sys, time
    from runwright_components.steps import prepare_process
    prepare_process()
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(30)
    """
)


def _step(workspace: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", STEP],
        env={**os.environ, WORKSPACE_ENV: str(workspace)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from runwright_pipelines.workspace import Workspace\n"
            "with Workspace(Path(sys.argv[1])).locked():\n    print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(StageError, match=f"process {holder.pid}"), Workspace(tmp_path).locked():
            pass
        assert time.monotonic() - began < 5
    finally:
        holder.kill()
        holder.wait()
    with Workspace(tmp_path).locked():
        pass


def test_a_step_ends_when_its_runner_lets_go(tmp_path: Path) -> None:
    with Workspace(tmp_path).locked() as lock:
        step = _step(tmp_path)
        assert step.poll() is None
        lock.let_go()
        assert step.wait(timeout=10) == ExitCode.CANCELLED


def test_a_step_ends_when_its_runner_is_killed_and_the_next_run_can_start(tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; from pathlib import Path; from runwright_pipelines.workspace import Workspace\n"
            "with Workspace(Path(sys.argv[1])).locked():\n"
            "    step = subprocess.Popen([sys.executable, '-c', sys.argv[2]])\n"
            "    print(step.pid, flush=True); step.wait()",
            str(tmp_path),
            STEP,
        ],
        env={**os.environ, WORKSPACE_ENV: str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    lines = {runner.stdout.readline().strip(), runner.stdout.readline().strip()}
    (step,) = (int(line) for line in lines - {"ready"})
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    with Workspace(tmp_path).locked():
        state = Path(f"/proc/{step}/stat")
        deadline = time.monotonic() + 10
        while state.exists() and state.read_text().split()[2] != "Z" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_process_without_a_workspace_is_left_alone(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != WORKSPACE_ENV}
    script = (
        "import threading\nfrom runwright_components.contract import lifeline\n"
        "lifeline.hold(); print(threading.active_count())"
    )
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout == "1\n"
