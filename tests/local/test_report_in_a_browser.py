"""The report page as a person opens it: from a file, with no network, in headless Chromium."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]


@pytest.mark.xdist_group("penguins")
def test_the_report_opens_without_a_complaint(
    finished: Callable[[str], Path], require_tool: Callable[[str, str], str], tmp_path: Path
) -> None:
    chromium = require_tool("chromium", "on Debian: apt-get install chromium")
    page = finished("penguins") / "report.html"
    shown = subprocess.run(
        [chromium, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in shown.stderr, "the page's own policy refuses nothing of it, and nothing fails"
    for heading in ("penguins", "Predictions", "Training", "Data", "Lineage"):
        assert heading in shown.stdout
    assert "<svg" in shown.stdout
