"""Every example from raw data to a registered package, in a few epochs; the second time nothing is computed again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runwright_components.contract.artifacts import PackageManifest
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.files import verify_files
from runwright_components.contract.step import STAGES

pytestmark = pytest.mark.slow

EXAMPLES = (
    "birdstrikes",
    "delays",
    "digits",
    "handwriting",
    "heating",
    "irises",
    "jargon",
    "languages",
    "oddities",
    "penguins",
    "pixels",
    "ratings",
    "reviews",
    "temperatures",
    "tumours",
    "wine",
)


def _events(workspace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace / "progress.jsonl").read_text().splitlines()]


def _check(workspace: Path, name: str) -> None:
    package = workspace / "registry" / name / "1"
    manifest = PackageManifest.read(package)
    verify_files(package, manifest.files)
    (evaluation,) = {path.resolve() for path in workspace.glob("artifacts/*/*/evaluation/evaluation.json")}
    assert Evaluation.read(evaluation.parent, evaluation.name).model_digest == manifest.model_digest
    assert (workspace / "serving").resolve() == package.resolve()
    assert "<html" in (workspace / "report.html").read_text()
    ended = [event["stage"] for event in _events(workspace) if event["kind"] == "done"]
    assert ended == list(STAGES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, finished: Callable[[str], Path], runwright: Any) -> None:
    workspace = finished(name)
    _check(workspace, name)

    file = workspace.parents[1] / "run.yaml"
    again = runwright("run", file, *runwright.quickly(file), "--layout", "stages")
    assert again.code == 0, again.text
    assert str(workspace / "registry" / name / "1") in again.out
    assert "runwright serve" in again.out
    kinds = {event["stage"]: event["kind"] for event in _events(workspace) if event["kind"] in ("done", "cached")}
    assert {stage for stage, kind in kinds.items() if kind == "cached"} == set(STAGES) - {"register", "deploy"}
    assert again.out.count("unchanged") == 5
    assert not (workspace / "registry" / name / "2").exists(), "the same content is one version"

    package = workspace / "registry" / name / "1"
    predicted = runwright("predict", package, "--input", package / "example.json")
    assert predicted.code == 0, predicted.text
    json.loads(predicted.out)

    page = runwright("report", file)
    assert page.code == 0, page.text
    assert Path(page.out.strip()) == workspace / "report.html"
