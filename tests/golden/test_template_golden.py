"""The pipeline that is filled in equals the one that kfp compiles from the same TrainingRun."""

from pathlib import Path

import pytest

from runwright_api.loading import load_file
from runwright_pipelines import drawing
from runwright_pipelines.compiling import LAYOUTS, Images, Layout, pipeline_spec

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/run.yaml"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_filled_in_is_what_kfp_compiles(example: Path, layout: Layout) -> None:
    run = load_file(example)
    image = "registry.example/components-python@sha256:" + "0" * 64
    assert pipeline_spec(run, Images(components=image), layout) == drawing.draw(run, image, layout)
