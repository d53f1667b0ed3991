"""The compiled pipeline: the same bytes for the same input, both layouts with the same artifacts, no templates."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runwright_api.trainingrun import TrainingRun
from runwright_components import steps
from runwright_components.contract.config import PackageConfig, parse
from runwright_components.contract.step import STAGES
from runwright_pipelines.compiling import Images, Layout, compile, parameter

MakeRun = Callable[..., TrainingRun]
LAYOUTS: tuple[Layout, ...] = ("compact", "stages")


def _outputs(ir: dict[str, Any]) -> dict[str, str]:
    """Artifact name -> KFP type, over all tasks."""
    return {
        name: artifact["artifactType"]["schemaTitle"]
        for component in ir["components"].values()
        for name, artifact in component.get("outputDefinitions", {}).get("artifacts", {}).items()
    }


def test_the_layouts_have_the_tasks_of_the_design(make_run: MakeRun) -> None:
    compact, stages = (yaml.safe_load(compile(make_run(), layout=layout)) for layout in LAYOUTS)
    assert set(compact["root"]["dag"]["tasks"]) == {"data", "model"}
    assert set(stages["root"]["dag"]["tasks"]) == set(STAGES)


def test_both_layouts_make_the_same_artifacts_of_kfp_types(make_run: MakeRun) -> None:
    compact, stages = (_outputs(yaml.safe_load(compile(make_run(), layout=layout))) for layout in LAYOUTS)
    assert compact == stages
    assert compact == {
        "raw_data": "system.Dataset",
        "prepared_data": "system.Dataset",
        "data_quality": "system.HTML",
        "model": "system.Model",
        "training_metrics": "system.Metrics",
        "learning_curves": "system.HTML",
        "evaluation": "system.Artifact",
        "metrics": "system.Metrics",
        "classification": "system.ClassificationMetrics",
        "report": "system.HTML",
        "package": "system.Model",
        "registration": "system.Artifact",
        "deployment": "system.Artifact",
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_input_gives_the_same_bytes_in_every_process(make_run: MakeRun, layout: Layout) -> None:
    run = make_run()
    script = (
        "import sys\nfrom runwright_api.trainingrun import TrainingRun\n"
        "from runwright_pipelines.compiling import compile\n"
        "run = TrainingRun.model_validate_json(sys.stdin.read(), by_alias=True, by_name=False)\n"
        f"sys.stdout.write(compile(run, layout={layout!r}))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            input=run.model_dump_json(by_alias=True, exclude_unset=True),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {compile(run, layout=layout)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_install_nothing_and_name_our_image(make_run: MakeRun, layout: Layout) -> None:
    ir = compile(make_run(), Images("registry.example/python-runwright@sha256:00"), layout)
    assert "pip install" not in ir
    executors = yaml.safe_load(ir)["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"registry.example/python-runwright@sha256:00"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_task_calls_a_body_with_the_arguments_that_it_takes(make_run: MakeRun, layout: Layout) -> None:
    import inspect

    ir = yaml.safe_load(compile(make_run(), layout=layout))
    for name, component in ir["components"].items():
        inputs, outputs = (component.get(key, {}) for key in ("inputDefinitions", "outputDefinitions"))
        given_names = {item for part in (inputs, outputs) for kind in part.values() for item in kind}
        body = inspect.signature(getattr(steps, name.removeprefix("comp-")))
        assert given_names == {*body.parameters, "cluster", "run_id"}  # the last two are `execute`'s


def test_the_default_layout_is_that_of_the_run(make_run: MakeRun) -> None:
    run = make_run(layout="stages")
    assert compile(run) == compile(run, layout="stages") != compile(run, layout="compact")


@given(st.text(alphabet=st.sampled_from("{}$.'\"\\ a\n\u00e9")))
def test_a_parameter_holds_no_template_and_reads_back_as_it_was(text: str) -> None:
    config = PackageConfig(name="demo", description=text)
    written = parameter(config)
    assert "{{" not in written
    assert "$" not in written, "the kubelet would expand $(NAME)"
    assert parse(PackageConfig, written) == config


def test_user_strings_are_in_parameters_alone(make_run: MakeRun) -> None:
    mark = "zzzMARKzzz"
    run = make_run(data={"sources": [{"path": f"{mark}.csv"}]}, prepare={"target": mark}, package={"description": mark})
    for layout in LAYOUTS:
        ir = yaml.safe_load(compile(run, layout=layout))
        assert mark not in json.dumps(ir["deploymentSpec"])
        assert mark not in json.dumps(ir["components"])
        assert mark in json.dumps(ir["root"])


def test_no_path_of_this_machine_is_compiled_in(make_run: MakeRun) -> None:
    assert not re.search(r"/(home|root|work|tmp|Users)/", compile(make_run()))
