# mypy: disable-error-code="valid-type"
"""The tasks of the pipeline as lightweight Python components.

KFP copies the source of each function into the pipeline, so a body stands alone: it imports what it calls. Bodies
hold no logic; `runwright_components.steps` does. Nothing is installed at run time, and the image is set when a
pipeline is compiled. Configurations are JSON texts of the models in `runwright_components.contract.config`; `base`
is the folder that their relative paths start from.
"""

from typing import Any

from kfp import dsl


def collect(
    config: str,
    base: str,
    cluster: str,
    run_id: str,
    raw_data: dsl.Output[dsl.Dataset],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "collect",
        config=config,
        base=base,
        cluster=cluster,
        run_id=run_id,
        raw_data=raw_data,
    )


def prepare(
    config: str,
    base: str,
    cluster: str,
    run_id: str,
    raw_data: dsl.Input[dsl.Dataset],
    prepared_data: dsl.Output[dsl.Dataset],
    data_quality: dsl.Output[dsl.HTML],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "prepare",
        config=config,
        base=base,
        cluster=cluster,
        run_id=run_id,
        raw_data=raw_data,
        prepared_data=prepared_data,
        data_quality=data_quality,
    )


def data(
    collect_config: str,
    prepare_config: str,
    base: str,
    cluster: str,
    run_id: str,
    raw_data: dsl.Output[dsl.Dataset],
    prepared_data: dsl.Output[dsl.Dataset],
    data_quality: dsl.Output[dsl.HTML],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "data",
        collect_config=collect_config,
        prepare_config=prepare_config,
        base=base,
        cluster=cluster,
        run_id=run_id,
        raw_data=raw_data,
        prepared_data=prepared_data,
        data_quality=data_quality,
    )


def train(
    config: str,
    base: str,
    cluster: str,
    run_id: str,
    prepared_data: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    training_metrics: dsl.Output[dsl.Metrics],
    learning_curves: dsl.Output[dsl.HTML],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "train",
        config=config,
        base=base,
        cluster=cluster,
        run_id=run_id,
        prepared_data=prepared_data,
        model=model,
        training_metrics=training_metrics,
        learning_curves=learning_curves,
    )


def evaluate(
    config: str,
    run_name: str,
    cluster: str,
    run_id: str,
    model: dsl.Input[dsl.Model],
    prepared_data: dsl.Input[dsl.Dataset],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    verdict: dsl.OutputPath(str),
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "evaluate",
        config=config,
        run_name=run_name,
        cluster=cluster,
        run_id=run_id,
        model=model,
        prepared_data=prepared_data,
        evaluation=evaluation,
        metrics=metrics,
        classification=classification,
        report=report,
        verdict=verdict,
    )


def package(
    config: str,
    verdict: str,
    cluster: str,
    run_id: str,
    model: dsl.Input[dsl.Model],
    prepared_data: dsl.Input[dsl.Dataset],
    evaluation: dsl.Input[dsl.Artifact],
    package: dsl.Output[dsl.Model],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "package",
        config=config,
        verdict=verdict,
        cluster=cluster,
        run_id=run_id,
        model=model,
        prepared_data=prepared_data,
        evaluation=evaluation,
        package=package,
    )


def register(
    config: str,
    base: str,
    verdict: str,
    cluster: str,
    run_id: str,
    package: dsl.Input[dsl.Model],
    registration: dsl.Output[dsl.Artifact],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "register",
        config=config,
        base=base,
        verdict=verdict,
        cluster=cluster,
        run_id=run_id,
        package=package,
        registration=registration,
    )


def deploy(
    config: str,
    verdict: str,
    cluster: str,
    run_id: str,
    registration: dsl.Input[dsl.Artifact],
    deployment: dsl.Output[dsl.Artifact],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "deploy",
        config=config,
        verdict=verdict,
        cluster=cluster,
        run_id=run_id,
        registration=registration,
        deployment=deployment,
    )


def model(
    train_config: str,
    evaluate_config: str,
    package_config: str,
    register_config: str,
    deploy_config: str,
    base: str,
    run_name: str,
    cluster: str,
    run_id: str,
    prepared_data: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    training_metrics: dsl.Output[dsl.Metrics],
    learning_curves: dsl.Output[dsl.HTML],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    package: dsl.Output[dsl.Model],
    registration: dsl.Output[dsl.Artifact],
    deployment: dsl.Output[dsl.Artifact],
) -> None:
    from runwright_components.contract.step import execute

    execute(
        "model",
        train_config=train_config,
        evaluate_config=evaluate_config,
        package_config=package_config,
        register_config=register_config,
        deploy_config=deploy_config,
        base=base,
        run_name=run_name,
        cluster=cluster,
        run_id=run_id,
        prepared_data=prepared_data,
        model=model,
        training_metrics=training_metrics,
        learning_curves=learning_curves,
        evaluation=evaluation,
        metrics=metrics,
        classification=classification,
        report=report,
        package=package,
        registration=registration,
        deployment=deployment,
    )


_ANY_IMAGE = "runwright"  # a compiled pipeline names the real one


def _component(function: Any) -> Any:
    return dsl.component(function, base_image=_ANY_IMAGE, install_kfp_package=False)


COLLECT = _component(collect)
PREPARE = _component(prepare)
DATA = _component(data)
TRAIN = _component(train)
EVALUATE = _component(evaluate)
PACKAGE = _component(package)
REGISTER = _component(register)
DEPLOY = _component(deploy)
MODEL = _component(model)
