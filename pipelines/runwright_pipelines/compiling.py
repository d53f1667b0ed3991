"""From a TrainingRun to the KFP pipeline (IR) that a cluster and a laptop run alike; pure.

The same input gives the same bytes. What the user wrote travels as the tasks' parameters, in JSON, and never meets a
shell or a template: KFP replaces `{{...}}` anywhere in a parameter and the kubelet `$(NAME)`, so that they are written
in a way that JSON reads as the same and neither sees.

The shape of the pipeline is the same for every TrainingRun of a layout, so kfp draws it once (`drawing`), and a
TrainingRun only fills in its configurations, image and name.
"""

import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.config import Config
from runwright_pipelines.lowering import StageConfigs, lower

Layout = Literal["compact", "stages"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

# Parameters of every compiled pipeline, for what only the one who starts it knows.
BASE = "base"
RUN_NAME = "run_name"
CLUSTER = "cluster"


@dataclass(frozen=True)
class Images:
    """The container images of the steps. KFP's local runner looks for `python` in the name, and runs none of them."""

    components: str = "ghcr.io/runwright/components-python:0.1.0"


def compile(run: TrainingRun, images: Images | None = None, layout: Layout | None = None) -> str:
    """The pipeline of `run` as YAML. `layout` overrides the one that the TrainingRun asks for."""
    spec = pipeline_spec(run, images, layout)
    return yaml.dump(spec, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True, width=120)


def pipeline_spec(run: TrainingRun, images: Images | None = None, layout: Layout | None = None) -> dict[str, Any]:
    """The pipeline of `run` as the JSON object that KFP's API takes."""
    chosen = layout or run.spec.layout
    spec: dict[str, Any] = json.loads(_template(chosen))  # faster than a deep copy
    spec["pipelineInfo"] = {"name": run.metadata.name, "description": f"Runwright, layout {chosen}"}
    spec["root"]["inputDefinitions"]["parameters"][RUN_NAME]["defaultValue"] = run.metadata.name
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = (images or Images()).components
    texts = _texts(lower(run))
    for name, task in spec["root"]["dag"]["tasks"].items():
        for field in task["inputs"]["parameters"]:
            stage = name if field == "config" else field.removesuffix("_config")
            if field == "config" or stage != field:
                task["inputs"]["parameters"][field] = {"runtimeValue": {"constant": texts[stage]}}
    return spec


def parameter(config: Config) -> str:
    """A configuration as the text of a KFP parameter. It becomes an argument of a pod's command, in which the kubelet
    would put the value of a variable, be it a secret, for `$(NAME)`."""
    return config.canonical().replace("{{", "{\\u007b").replace("$", "\\u0024")


def template_file(layout: Layout) -> Path:
    """Where the drawn pipeline of a layout lies."""
    return Path(__file__).with_name("templates") / f"{layout}.json"


@cache
def _template(layout: Layout) -> bytes:
    return template_file(layout).read_bytes()


def _texts(configs: StageConfigs) -> dict[str, str]:
    """The configuration of each stage. `config` of a task is its own, `STAGE_config` a stage's that it carries out."""
    return {field.name: parameter(getattr(configs, field.name)) for field in fields(configs)}
