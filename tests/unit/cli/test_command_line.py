"""The command as a process: help, wrong usage, failures, and how little it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runwright_cli.main import COMMANDS


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runwright_cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_command_and_imports_next_to_nothing() -> None:
    answer = _run("--help", PYTHONPROFILEIMPORTTIME="1")
    assert answer.returncode == 0
    assert all(f"  {name} " in answer.stdout for name in COMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert not imported & {"pydantic", "yaml", "kfp", "polars", "numpy", "rich", "torch"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    answer = _run(name, "--help")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"Usage: runwright {name}")


def test_version() -> None:
    assert _run("--version").stdout.startswith("runwright 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rum",), "Did you mean 'run'?"),
        (("run",), "Missing argument 'FILE'"),
        (("run", "x.yaml", "--layuot", "stages"), "--layout"),
        (("validate", "nowhere.yaml"), "there is no such file"),
        (("report", "nowhere"), "there is no run here"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_1(arguments: tuple[str, ...], message: str) -> None:
    answer = _run(*arguments)
    text = answer.stdout + answer.stderr
    assert answer.returncode == 1
    assert message in text
    assert "Traceback" not in text


def test_a_closed_pipe_is_no_error_of_ours() -> None:
    command = f"{sys.executable} -m runwright_cli schema | head -n 1"
    answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert answer.stdout == "{\n"
    assert answer.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    assert "_RUNWRIGHT_COMPLETE" in _run("completion", shell).stdout


def test_completion_completes_commands() -> None:
    answer = _run(_RUNWRIGHT_COMPLETE="bash_complete", COMP_WORDS="runwright va", COMP_CWORD="1")
    assert answer.stdout == "plain,validate\n"


def test_a_defect_says_how_to_see_more(tmp_path: Path) -> None:
    script = (
        "import sys, runwright_cli.main as m, runwright_cli.files as f\n"
        "f.WORKSPACES = None\n"  # breaks an assumption inside
        "sys.argv = ['runwright', 'report', sys.argv[1]]\n"
        "m.main()"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            env={**os.environ, "RUNWRIGHT_TRACE": trace},
            capture_output=True,
            text=True,
            check=False,
        )
        for trace in ("", "1")
    ]
    assert [answer.returncode for answer in answers] == [1, 1]
    assert "RUNWRIGHT_TRACE=1" in answers[0].stderr
    assert "Traceback" not in answers[0].stderr
    assert "Traceback" in answers[1].stderr
