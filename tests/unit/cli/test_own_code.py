"""Own code that is not there is told before anything runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from runwright_api.problems import SpecError

Invoke = Callable[..., Result]


@pytest.fixture
def write(file: Path) -> Callable[[str], Path]:
    """Writes the TrainingRun of own code, with files beside it."""
    (file.parent / "train.py").write_text("print('never run')\nraise SystemExit(3)\n")
    (file.parent / "broken.py").write_text("x = 1\ndef (:\n")
    package = file.parent / "src" / "churn"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "train.py").write_text(
        "try:\n    import torch\nexcept ImportError:\n    torch = None\n\ndef main(): ...\n"
    )

    def made(code: str) -> Path:
        content = yaml.safe_load(file.read_text())
        train = content["spec"]["train"]
        content["spec"]["train"] = {"task": train["task"], "code": yaml.safe_load(code)}
        path = file.parent / "own.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return made


@pytest.mark.parametrize(
    ("code", "field", "message", "cure"),
    [
        ("{path: trian.py}", "path", "there is no such file or folder: trian.py", "did you mean train.py?"),
        ("{path: broken.py}", "path", "broken.py:2 is not Python", "mend the file"),
        ("{path: nowhere, entrypoint: a}", "path", "no such file or folder: nowhere", "start from the YAML file"),
        ("{path: src, entrypoint: churn.trian}", "entrypoint", "no module 'churn.trian' in the folder src", "train?"),
        ("{path: src, entrypoint: churn}", "entrypoint", "a package without a module __main__", "churn:FUNCTION"),
        ("{path: src, entrypoint: 'churn.train:mian'}", "entrypoint", "has no function 'mian'", "did you mean main?"),
    ],
)
def test_what_is_missing_is_told_with_its_line(
    invoke: Invoke, write: Callable[[str], Path], code: str, field: str, message: str, cure: str
) -> None:
    result = invoke("validate", "-o", "json", write(code))
    assert result.return_value == 1
    (answer,) = json.loads(result.output)
    (problem,) = answer["problems"]
    assert problem["path"] == f"spec.train.code.{field}"
    assert message in problem["message"]
    assert cure in problem["cure"]
    assert problem["line"] > 0
    assert f"{field}: " in problem["excerpt"]


@pytest.mark.parametrize(
    "code",
    [
        "{path: train.py}",
        "{path: src, entrypoint: churn.train}",
        "{path: src, entrypoint: 'churn.train:main'}",
        "{path: src, entrypoint: 'json.tool:main'}",
        "{path: 's3://bucket/churn/', entrypoint: churn.train}",
        "{command: [train]}",
    ],
)
def test_what_is_there_or_cannot_be_seen_is_valid(invoke: Invoke, write: Callable[[str], Path], code: str) -> None:
    assert invoke("validate", write(code)).return_value == 0


def test_run_starts_nothing(invoke: Invoke, write: Callable[[str], Path]) -> None:
    file = write("{path: trian.py}")
    for arguments in (("run", file), ("run", file, "--set", "spec.train.epochs=1")):
        result = invoke(*arguments)
        assert isinstance(result.exception, SpecError)
        assert "there is no such file or folder: trian.py" in str(result.exception)
    assert not (file.parent / ".runwright").exists()
