"""Nothing of ours may shadow the standard library's `operator`, whose name our top-level folder shares."""

import operator
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_operator_is_the_standard_librarys_here() -> None:
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))
    assert operator.add(1, 2) == 3


def test_operator_is_the_standard_librarys_in_a_process_started_at_the_root() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    result = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.itemgetter(1)([1, 2]), operator.__file__)"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    value, file = result.stdout.split()
    assert value == "2"
    assert Path(file).is_relative_to(sysconfig.get_path("stdlib"))


def test_no_python_file_lies_directly_in_the_folder() -> None:
    assert [path.name for path in (ROOT / "operator").glob("*.py")] == []
