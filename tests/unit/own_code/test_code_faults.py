"""Whatever user code does wrong ends with a reason, its own words, and a cure; nothing is left behind."""

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runwright_components.contract.outcome import ExitCode, Reason, StageError
from runwright_components.contract.progress import Event

Run = Callable[..., object]


@pytest.fixture
def fails(run: Run, tmp_path: Path) -> Callable[..., StageError]:
    """`fails(prepared, script)`: the error, once it is sure that no half model is left."""

    def start(prepared: Path, script: str = "", **fields: object) -> StageError:
        with pytest.raises(StageError) as caught:
            run(prepared, script, **fields)
        assert not (tmp_path / "model").exists()
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".model")]
        return caught.value

    return start


Fails = Callable[..., StageError]


def test_an_exception_is_told_with_the_end_of_its_traceback(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "def fit():\n    raise ValueError('the loss is negative')\n\nfit()\n")
    assert error.reason is Reason.USER_CODE
    assert error.exit_code is ExitCode.USER
    first, *trace = error.message.splitlines()
    assert first == "ValueError: the loss is negative"
    assert trace[0] == "Traceback (most recent call last):"
    assert "train.py" in trace[1]
    assert "bootstrap" not in error.message
    assert error.cure == "mend the code; this is what it raised"


def test_a_library_that_is_missing(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "import no_such_library.deep\n")
    assert error.reason is Reason.USER_CODE
    assert error.message.startswith("ModuleNotFoundError: No module named 'no_such_library'")
    assert "install no_such_library" in error.cure


def test_a_file_that_is_missing(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, path="trian.py")
    assert (error.reason, error.where) == (Reason.INVALID_CONFIG, "train.code.path")
    assert error.message == "there is no such file or folder: trian.py"


def test_a_folder_in_place_of_a_file(fails: Fails, flowers: Path, home: Path) -> None:
    (home / "train.py").mkdir()
    assert "this is not a file" in fails(flowers, path="train.py").message


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("churn.trian", "there is no module 'churn.trian'"),
        ("churn.trian:main", "there is no module 'churn.trian'"),
        ("churn.train:fit", "the module 'churn.train' has no function 'fit'"),
        ("churn", "'churn' is a package without a module __main__"),
    ],
)
def test_an_entry_point_that_is_missing(fails: Fails, flowers: Path, home: Path, entrypoint: str, message: str) -> None:
    (home / "src" / "churn").mkdir(parents=True)
    (home / "src" / "churn" / "__init__.py").touch()
    (home / "src" / "churn" / "train.py").write_text("def main(): ...\n")
    error = fails(flowers, path="src", entrypoint=entrypoint)
    assert error.reason is Reason.INVALID_CONFIG
    assert message in error.message
    assert "train.code" in error.cure


def test_a_program_that_is_missing(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, command=("no-such-program", "--fast"))
    assert error.reason is Reason.INVALID_CONFIG
    assert error.message == "the program 'no-such-program' cannot be started: No such file or directory"


def test_no_shell_reads_the_command(fails: Fails, flowers: Path, home: Path) -> None:
    fails(flowers, command=("true; touch hacked",))
    fails(flowers, command=("echo", "$(touch hacked)", "&& touch hacked"))
    assert not (home / "hacked").exists()


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (1, Reason.USER_CODE, ExitCode.USER),
        (10, Reason.USER_CODE, ExitCode.USER),
        (20, Reason.WORKER_FAILED, ExitCode.TRANSIENT),
        (30, Reason.CANCELLED, ExitCode.CANCELLED),
    ],
)
def test_exit_codes(fails: Fails, flowers: Path, code: int, reason: Reason, exit_code: ExitCode) -> None:
    error = fails(flowers, f"import sys\nprint('the table is empty')\nsys.exit({code})\n")
    assert (error.reason, error.exit_code) == (reason, exit_code)
    assert reason is Reason.CANCELLED or error.message == f"the code ended with exit code {code}\nthe table is empty"


def test_a_signal(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "import os, signal\nprint('so far')\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    assert error.reason is Reason.WORKER_FAILED
    assert error.message == "the code was killed by SIGSEGV\nso far"


def test_sigkill_points_to_memory(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert error.reason is Reason.WORKER_FAILED
    assert "probably ran out of memory" in error.cure


def test_out_of_memory(fails: Fails, flowers: Path) -> None:
    script = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({2**30}, {resource.RLIM_INFINITY}))\n"
        f"blocks = [bytearray({2**28}) for _ in range(16)]\n"
    )
    error = fails(flowers, script)
    assert error.reason is Reason.OUT_OF_MEMORY
    assert "smaller batches" in error.cure


def test_a_full_disk(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "import errno, os\nraise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n")
    assert error.reason is Reason.STORAGE_FULL


def test_gigabytes_of_output_cost_neither_memory_nor_disk(
    fails: Fails, flowers: Path, events: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    script = (
        "import sys\n"
        "block = b'0123456789abcde\\n' * 65536\n"
        "for _ in range(256):\n"
        "    sys.stdout.buffer.write(block)\n"
        "sys.stdout.flush()\n"
        "raise RuntimeError('after 256 MiB')\n"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = fails(flowers, script)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB
    assert error.message.startswith("RuntimeError: after 256 MiB")
    shown = capsys.readouterr().out
    assert len(shown) < 2**20
    assert "bytes of output were left out; this is the end:" in shown
    assert shown.rstrip().endswith("RuntimeError: after 256 MiB"), "the end is always shown"
    assert len([event for event in events if event.kind == "note"]) < 100


def test_one_line_without_end(fails: Fails, flowers: Path, events: list[Event]) -> None:
    fails(flowers, "import sys\nfor _ in range(64):\n    sys.stdout.write('x' * 2**20)\nsys.exit(1)\n")
    assert all(len(event.message) <= 400 for event in events)


def test_no_model(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "print('done')\n")
    assert error.reason is Reason.USER_CODE
    assert error.message == "the code ended well, but left no model: RUNWRIGHT_MODEL is empty"
    assert "RUNWRIGHT_MODEL" in error.cure


def test_a_pickle_is_refused_with_how_to_convert(fails: Fails, flowers: Path) -> None:
    script = (
        "import os, pickle\n"
        "with open(os.environ['RUNWRIGHT_MODEL'] + '/model.pkl', 'wb') as file:\n"
        "    pickle.dump({}, file)\n"
    )
    error = fails(flowers, script)
    assert error.message == "the code left model.pkl, which is not what can be served"
    assert "skl2onnx.to_onnx" in error.cure


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("graph(*fit(), source='X')", "found:    inputs X float32[N, 3]; output logits float32[N, 3]"),
        ("graph(*fit(), name='scores')", "found:    inputs numeric float32[N, 3]; output scores float32[N, 3]"),
        ("graph(*fit(), batch=1)", "found:    inputs numeric float32[1, 3]; output logits float32[1, 3]"),
        ("graph(fit()[0][:2], fit()[1])", "found:    inputs numeric float32[N, 2]; output logits float32[N, 3]"),
        ("graph(fit()[0][:, :2], fit()[1][:2])", "found:    inputs numeric float32[N, 3]; output logits float32[N, 2]"),
    ],
)
def test_a_wrong_signature_is_shown_beside_the_expected_one(fails: Fails, flowers: Path, call: str, found: str) -> None:
    error = fails(flowers, f"from linear import *\nsave({call})\n")
    assert error.reason is Reason.USER_CODE
    first, expected, shown = error.message.splitlines()
    assert first == "model.onnx has another signature than the prepared data"
    assert expected == ("expected: inputs numeric float32[N, 3], categorical int64[N, 1]; output logits float32[N, 3]")
    assert shown == found


def test_no_graph_at_all(fails: Fails, flowers: Path) -> None:
    script = "import os\nopen(os.environ['RUNWRIGHT_MODEL'] + '/model.onnx', 'w').write('not a graph')\n"
    assert "model.onnx cannot be read as an ONNX graph" in fails(flowers, script).message


def test_outputs_that_are_no_numbers(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "from linear import *\nw, b = fit()\nsave(graph(w * np.nan, b))\n")
    assert error.reason is Reason.USER_CODE
    assert error.message == "logits is no number for 36 of 36 test rows, the first is row 0"
    assert "diverged" in error.cure


def test_own_outputs_of_another_size(fails: Fails, flowers: Path) -> None:
    script = (
        "from linear import *\nsave(graph(*fit()))\n"
        "np.save(Path(os.environ['RUNWRIGHT_MODEL']) / 'outputs.npy', np.zeros((5, 2), np.float32))\n"
    )
    error = fails(flowers, script)
    assert error.message == "outputs.npy holds float32 [5, 2], the graph gives float32 [5, 3]"


def test_own_outputs_that_need_pickle(fails: Fails, flowers: Path) -> None:
    script = (
        "from linear import *\nsave(graph(*fit()))\n"
        "np.save(Path(os.environ['RUNWRIGHT_MODEL']) / 'outputs.npy', np.array([{}], object), allow_pickle=True)\n"
    )
    assert "outputs.npy cannot be read" in fails(flowers, script).message


def test_the_prepared_data_are_not_the_codes_to_change(fails: Fails, flowers: Path) -> None:
    script = (
        "from linear import *\nsave(graph(*fit()))\npath = data / 'train.parquet'\nos.utime(path.resolve(), (1, 1))\n"
    )
    error = fails(flowers, script)
    assert error.message == "the code changed the prepared data, which later stages read"


def test_a_time_limit(fails: Fails, flowers: Path) -> None:
    error = fails(flowers, "import time\ntime.sleep(60)\n", timeout_seconds=1)
    assert (error.reason, error.where) == (Reason.DEADLINE, "train.timeout")
    assert error.message == "the code has run for 1 s, which is its limit"


def test_processes_that_the_code_leaves_behind_end_with_it(
    run: Run, flowers: Path, home: Path, wait: Callable[[int], None]
) -> None:
    script = (
        "import subprocess, sys\nfrom linear import *\nsave(graph(*fit()))\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "Path('child').write_text(str(child.pid))\n"
    )
    run(flowers, script)
    wait(int((home / "child").read_text()))


@pytest.fixture
def wait() -> Callable[[int], None]:
    """Wait until a process is gone."""

    def gone(pid: int) -> None:
        until = time.monotonic() + 30
        while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < until, f"{pid} is still there"
            time.sleep(0.02)

    return gone


def test_metrics_that_are_no_json_warn_once(run: Run, flowers: Path, events: list[Event]) -> None:
    script = (
        "from linear import *\nsave(graph(*fit()))\n"
        "with open(os.environ['RUNWRIGHT_METRICS'], 'a') as file:\n"
        "    file.write('epoch 1\\n[1]\\n' + '{\"epoch\": 1, \"loss\": NaN}\\n')\n"
    )
    run(flowers, script)
    warnings = [event.message for event in events if event.kind == "warning"]
    assert warnings == ["RUNWRIGHT_METRICS: not JSON: epoch 1; such lines are left out"]
    assert os.environ.get("RUNWRIGHT_METRICS") is None
