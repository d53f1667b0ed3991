"""The command in this process, and TrainingRun files for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runwright_cli.main import cli

SMALLEST = """\
apiVersion: runwright.dev/v1alpha1
kind: TrainingRun
metadata: {name: demo}
spec:
  data: {sources: [{path: data.csv}]}
  prepare: {target: species}
  train: {task: tabular-classification}
"""


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """`invoke("validate", file)`: the result of a command; what it raises for `main` to explain is in `exception`."""

    def call(*arguments: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(SMALLEST)
    return path
