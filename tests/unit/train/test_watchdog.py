"""Who hangs is noticed, and says where."""

import os
import threading
import time
from pathlib import Path

from runwright_components.contract.outcome import Reason
from runwright_components.train.watchdog import Hang, Watchdog, clear_stacks, last_line, leave_stack, stacks


def test_it_bites_once_when_no_beat_comes() -> None:
    bitten = threading.Event()
    with Watchdog(0.05, bitten.set):
        assert bitten.wait(10)


def test_it_lets_pass_who_beats_and_who_has_ended() -> None:
    bitten = threading.Event()
    with Watchdog(60.0, bitten.set) as dog:
        for _ in range(5):
            dog.beat()
            time.sleep(0.01)
    assert not bitten.is_set()


def test_a_stack_begins_with_the_main_thread_and_names_its_place(tmp_path: Path) -> None:
    leave_stack(tmp_path / "stacks", 3)
    found = stacks(tmp_path / "stacks")
    assert [*found] == [3]
    assert found[3].startswith("MainThread:\n")
    assert last_line(found[3]).startswith("leave_stack (train/watchdog.py:")
    clear_stacks(tmp_path / "stacks")
    assert not stacks(tmp_path / "stacks")


def test_a_place_is_the_innermost_call_and_the_innermost_of_ours() -> None:
    stack = """MainThread:
  File "/srv/runwright_components/train/loop.py", line 215, in _step
    loss.backward()
  File "/usr/lib/site-packages/torch/_tensor.py", line 623, in backward
    torch.autograd.backward(

watchdog:
  File "/usr/lib/threading.py", line 1002, in _bootstrap
"""
    assert last_line(stack) == "backward (torch/_tensor.py:623) < _step (train/loop.py:215)"


def test_the_error_names_those_that_left_no_stack(tmp_path: Path) -> None:
    leave_stack(tmp_path, 4)
    error = Hang(tmp_path, 4, range(4, 6), 90.0, lambda error: 0).error()
    assert error.reason is Reason.COLLECTIVE_TIMEOUT
    lines = error.message.splitlines()
    assert lines[0] == "no step ended for 90 s"
    assert lines[1].startswith("rank 4 waits in leave_stack (")
    assert lines[2] == "rank 5 left no stack: it is stopped or lost"
    assert str(tmp_path) in error.cure


def test_the_process_ends_with_the_code_of_the_report(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        Hang(tmp_path, 0, range(1), 1.0, lambda error: 20)()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 20
    assert [*stacks(tmp_path)] == [0]
