"""The committed copies of the CRD, and the examples against it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from runwright_api import load_file
from runwright_api.crd import render

ROOT = Path(__file__).resolve().parents[3]
COPIES = (ROOT / "manifests/crd/trainingruns.yaml", ROOT / "charts/runwright/files/trainingruns.yaml")
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*/*.yaml") if "\nkind: TrainingRun\n" in path.read_text())


@pytest.mark.parametrize("copy", COPIES, ids=["manifests", "chart"])
def test_the_copies_are_fresh(copy: Path) -> None:
    assert copy.read_text(encoding="utf-8") == render(), "run `make generate`"


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_are_valid(example: Path) -> None:
    run = load_file(example)
    assert run.spec.data.sources or run.spec.train.environment
    (version,) = yaml.safe_load(COPIES[0].read_text(encoding="utf-8"))["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    # exclusiveMinimum is a boolean in OpenAPI 3.0, as it was in draft 4
    jsonschema.Draft4Validator(schema).validate(yaml.safe_load(example.read_text(encoding="utf-8")))
