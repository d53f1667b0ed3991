"""From a TrainingRun to the KFP pipeline (IR) that a cluster and a laptop run alike; pure.

The same input gives the same bytes. What the user wrote travels as the tasks' parameters, in JSON, and never meets a
shell or a template: KFP replaces `{{...}}` anywhere in a parameter, so that two braces in a row are written in a way
that JSON reads as the same and KFP does not see.
"""

from dataclasses import dataclass
from typing import Any, Literal

import yaml
from google.protobuf import json_format
from kfp import dsl

from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.config import Config
from runwright_pipelines import tasks
from runwright_pipelines.lowering import StageConfigs, lower

Layout = Literal["compact", "stages"]

# Parameters of every compiled pipeline, for what only the one who starts it knows.
BASE = "base"
RUN_NAME = "run_name"


@dataclass(frozen=True)
class Images:
    """The container images of the steps. KFP's local runner looks for `python` in the name, and runs none of them."""

    components: str = "ghcr.io/runwright/components-python:0.1.0"


def compile(run: TrainingRun, images: Images | None = None, layout: Layout | None = None) -> str:
    """The pipeline of `run` as YAML. `layout` overrides the one that the TrainingRun asks for."""
    configs = lower(run)
    image = (images or Images()).components
    build = _stages if (layout or run.spec.layout) == "stages" else _compact

    def pipeline(base: str = ".", run_name: str = run.metadata.name) -> None:
        build(configs, image, base, run_name)

    built = dsl.pipeline(name=run.metadata.name, description=f"Runwright, layout {layout or run.spec.layout}")(pipeline)
    spec = json_format.MessageToDict(built.pipeline_spec)
    return yaml.dump(spec, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True, width=120)


def parameter(config: Config) -> str:
    """A configuration as the text of a KFP parameter."""
    return config.canonical().replace("{{", "{\\u007b")


def _compact(configs: StageConfigs, image: str, base: Any, run_name: Any) -> None:
    data = _task(
        tasks.DATA,
        image,
        collect_config=parameter(configs.collect),
        prepare_config=parameter(configs.prepare),
        base=base,
    )
    prepared = data.outputs["prepared_data"]
    train = _task(tasks.TRAIN, image, config=parameter(configs.train), base=base, prepared_data=prepared)
    deliver = _task(
        tasks.DELIVER,
        image,
        evaluate_config=parameter(configs.evaluate),
        package_config=parameter(configs.package),
        register_config=parameter(configs.register),
        base=base,
        run_name=run_name,
        model=train.outputs["model"],
        prepared_data=prepared,
    )
    _deploy(configs, image, deliver.outputs["verdict"], deliver.outputs["registration"])


def _stages(configs: StageConfigs, image: str, base: Any, run_name: Any) -> None:
    collect = _task(tasks.COLLECT, image, config=parameter(configs.collect), base=base)
    raw = collect.outputs["raw_data"]
    prepare = _task(tasks.PREPARE, image, config=parameter(configs.prepare), base=base, raw_data=raw)
    prepared = prepare.outputs["prepared_data"]
    train = _task(tasks.TRAIN, image, config=parameter(configs.train), base=base, prepared_data=prepared)
    model = train.outputs["model"]
    evaluate = _task(
        tasks.EVALUATE,
        image,
        config=parameter(configs.evaluate),
        run_name=run_name,
        model=model,
        prepared_data=prepared,
    )
    verdict = evaluate.outputs["verdict"]
    package = _task(
        tasks.PACKAGE,
        image,
        config=parameter(configs.package),
        verdict=verdict,
        model=model,
        prepared_data=prepared,
        evaluation=evaluate.outputs["evaluation"],
    )
    register = _task(
        tasks.REGISTER,
        image,
        config=parameter(configs.register),
        base=base,
        verdict=verdict,
        package=package.outputs["package"],
    )
    _deploy(configs, image, verdict, register.outputs["registration"])


def _deploy(configs: StageConfigs, image: str, verdict: Any, registration: Any) -> None:
    _task(tasks.DEPLOY, image, config=parameter(configs.deploy), verdict=verdict, registration=registration)


def _task(component: Any, image: str, **arguments: Any) -> Any:
    """One task. KFP's cache stays off: it knows neither the sources' content nor our version."""
    task = component(**arguments)
    task.set_container_image(image)
    task.set_caching_options(False)
    return task
