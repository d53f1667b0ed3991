"""Draws the pipelines with kfp, for `make generate`: one for each layout, which `compiling` then fills in.

So neither the operator nor `runwright compile` needs kfp, whose import takes seconds and a hundred megabytes.

    python -m runwright_pipelines.drawing        writes the templates beside this module
"""

import json
import sys
from typing import Any

from google.protobuf import json_format
from kfp import dsl

from runwright_api.loading import load_object
from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.files import write_bytes
from runwright_pipelines import tasks
from runwright_pipelines.compiling import BASE, CLUSTER, LAYOUTS, RUN_NAME, Layout, parameter, template_file
from runwright_pipelines.lowering import StageConfigs, lower

IMAGE = "runwright"


def draw(run: TrainingRun, image: str, layout: Layout) -> dict[str, Any]:
    """The pipeline of `run` as kfp itself compiles it."""
    configs = lower(run)
    build = _stages if layout == "stages" else _compact

    def pipeline(base: str = ".", run_name: str = run.metadata.name, cluster: str = "") -> None:
        build(configs, image, base, run_name, cluster)

    built = dsl.pipeline(name=run.metadata.name, description=f"Runwright, layout {layout}")(pipeline)
    if set(built.pipeline_spec.root.input_definitions.parameters) != {BASE, RUN_NAME, CLUSTER}:
        raise AssertionError("the pipeline's parameters and their names in `compiling` differ")
    spec: dict[str, Any] = json_format.MessageToDict(built.pipeline_spec)
    return spec


def main() -> None:
    """Write the template of each layout, drawn from a small TrainingRun."""
    run = load_object(
        {
            "apiVersion": "runwright.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "template"},
            "spec": {
                "data": {"sources": [{"path": "data.csv"}]},
                "prepare": {"target": "target"},
                "train": {"task": "tabular-classification"},
            },
        }
    )
    for layout in LAYOUTS:
        text = json.dumps(draw(run, IMAGE, layout), indent=1, sort_keys=True, ensure_ascii=False)
        write_bytes(template_file(layout), f"{text}\n".encode())
        print(f"wrote {template_file(layout).name}", file=sys.stderr)  # noqa: T201 (a command's answer)


def _compact(configs: StageConfigs, image: str, base: Any, run_name: Any, cluster: Any) -> None:
    data = _task(
        tasks.DATA,
        image,
        cluster,
        collect_config=parameter(configs.collect),
        prepare_config=parameter(configs.prepare),
        base=base,
    )
    _task(
        tasks.MODEL,
        image,
        cluster,
        train_config=parameter(configs.train),
        evaluate_config=parameter(configs.evaluate),
        package_config=parameter(configs.package),
        register_config=parameter(configs.register),
        deploy_config=parameter(configs.deploy),
        base=base,
        run_name=run_name,
        prepared_data=data.outputs["prepared_data"],
    )


def _stages(configs: StageConfigs, image: str, base: Any, run_name: Any, cluster: Any) -> None:
    collect = _task(tasks.COLLECT, image, cluster, config=parameter(configs.collect), base=base)
    raw = collect.outputs["raw_data"]
    prepare = _task(tasks.PREPARE, image, cluster, config=parameter(configs.prepare), base=base, raw_data=raw)
    prepared = prepare.outputs["prepared_data"]
    train = _task(tasks.TRAIN, image, cluster, config=parameter(configs.train), base=base, prepared_data=prepared)
    model = train.outputs["model"]
    evaluate = _task(
        tasks.EVALUATE,
        image,
        cluster,
        config=parameter(configs.evaluate),
        run_name=run_name,
        model=model,
        prepared_data=prepared,
    )
    verdict = evaluate.outputs["verdict"]
    package = _task(
        tasks.PACKAGE,
        image,
        cluster,
        config=parameter(configs.package),
        verdict=verdict,
        model=model,
        prepared_data=prepared,
        evaluation=evaluate.outputs["evaluation"],
    )
    register = _task(
        tasks.REGISTER,
        image,
        cluster,
        config=parameter(configs.register),
        base=base,
        verdict=verdict,
        package=package.outputs["package"],
    )
    _task(
        tasks.DEPLOY,
        image,
        cluster,
        config=parameter(configs.deploy),
        verdict=verdict,
        registration=register.outputs["registration"],
    )


def _task(component: Any, image: str, cluster: Any, **arguments: Any) -> Any:
    """One task. KFP's cache stays off: it knows neither the sources' content nor our version."""
    task = component(cluster=cluster, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **arguments)
    task.set_container_image(image)
    task.set_caching_options(False)
    return task


if __name__ == "__main__":
    main()
