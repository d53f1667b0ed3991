"""What the chart makes is what was reviewed, and so is everything cut from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.rendering import FOLDER, ROOT, drawn
from tests.machine import unable


@pytest.fixture(scope="module")
def files() -> dict[Path, str]:
    try:
        return drawn()
    except RuntimeError as error:
        unable(str(error))


def test_every_file_is_fresh(files: dict[Path, str]) -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "see `git diff`, then run `make generate`"


def test_no_rendering_is_left_over(files: dict[Path, str]) -> None:
    assert set(FOLDER.glob("*.yaml")) == {path for path in files if path.parent == FOLDER}
