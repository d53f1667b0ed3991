"""The compiled pipeline of every example is the one that was reviewed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def _generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", HERE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRAWN: dict[str, str] = _generate().pipelines()


def test_every_example_is_there_and_nothing_else() -> None:
    assert {path.name for path in (HERE / "ir").glob("*")} == set(DRAWN)


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_pipeline(name: str) -> None:
    assert (HERE / "ir" / name).read_text(encoding="utf-8") == DRAWN[name], "see `git diff`, then run `make generate`"
