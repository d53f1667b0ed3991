"""The steps of the pipeline after the data: from KFP's artifacts and parameters to the stages, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runwright_components.cache import cache_key
from runwright_components.contract.artifacts import (
    HISTORY,
    Deployment,
    History,
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    Registration,
)
from runwright_components.contract.config import (
    DeployConfig,
    EvaluateConfig,
    PackageConfig,
    RegisterConfig,
    TrainConfig,
    parse,
)
from runwright_components.contract.evaluation import EVALUATION, FOLDS, Evaluation
from runwright_components.contract.files import file_digest, write_bytes
from runwright_components.contract.kinds import KINDS
from runwright_components.contract.progress import Progress
from runwright_components.contract.tuning import tuning_of
from runwright_components.steps import clustered, fingerprints, metadata
from runwright_components.steps.artifact import Artifact
from runwright_components.steps.running import Surroundings, running
from runwright_components.steps.surroundings import in_cluster

REJECTED = "rejected"
SKIPPED = "the gate rejected the model"


def train(
    *,
    config: str,
    base: str,
    prepared_data: Artifact,
    model: Artifact,
    training_metrics: Artifact,
    learning_curves: Artifact,
) -> None:
    given: TrainConfig = parse(TrainConfig, config)
    parsed = given.model_copy(update={"base": base})
    prepared, out, page = Path(prepared_data.path), Path(model.path), Path(learning_curves.path)
    here, cluster = Surroundings.of(os.environ), in_cluster()

    def inputs() -> dict[str, str]:
        code = fingerprints.code(parsed) if cluster is None else {}  # there, no result is taken from a cache
        own = {**fingerprints.pretrained(parsed.model.pretrained, base), **code}
        return {"prepared_data": PreparedManifest.read(prepared).digest, **own}

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.report import curves_page
        from runwright_components.steps.cross_validation import cross_validate

        if cluster is not None:
            clustered.train(cluster, given, prepared=prepared, out=out, progress=progress)
        else:
            from runwright_components.train import train as run

            config_to_continue = given.continued().digest()
            lasting = cache_key("train", config=config_to_continue, inputs=inputs(), version=here.version)
            with here.checkpoints(lasting, beside=out) as checkpoints:
                run(parsed, prepared=prepared, out=out, checkpoints=checkpoints, resume=here.resume, progress=progress)
        cross_validate(parsed, prepared=prepared, model=out, progress=progress)
        write_bytes(page, curves_page(out).encode())

    def say() -> str:
        manifest, history = ModelManifest.read(out), History.read(out, HISTORY)
        metadata.show(model, metadata.model(manifest))
        metadata.show(training_metrics, metadata.training_metrics(manifest, history))
        epochs, unit = len(history.epochs), "rounds" if manifest.model.trees else "epochs"
        curve = f", {epochs} {unit}, best at {history.best_epoch}" if epochs else ""
        if (searched := tuning_of(out)) is not None:
            metadata.show(training_metrics, metadata.tuning(searched))
            curve += f", the best of {len(searched.trials)} trials"
        return f"{manifest.parameters:,} parameters{curve}"

    outputs = {"model": out, "learning_curves": page}
    here.kept(
        "train",
        config=given.digest(),
        inputs=inputs,
        outputs=outputs,
        make=make,
        say=say,
        result=lambda: clustered.training(ModelManifest.read(out), tuning_of(out)),
    )


def evaluate(
    *,
    config: str,
    run_name: str,
    model: Artifact,
    prepared_data: Artifact,
    evaluation: Artifact,
    metrics: Artifact,
    classification: Artifact,
    report: Artifact,
    verdict: str | None = None,
) -> str:
    """Returns the verdict, and writes it to the file `verdict` for the steps that follow."""
    parsed: EvaluateConfig = parse(EvaluateConfig, config).model_copy(update={"run_name": run_name})
    trained, prepared, out, page = (Path(item.path) for item in (model, prepared_data, evaluation, report))

    def inputs() -> dict[str, str]:
        folds = {"folds": file_digest(trained / FOLDS)} if (trained / FOLDS).exists() else {}
        read = {"model": ModelManifest.read(trained).digest, "prepared_data": PreparedManifest.read(prepared).digest}
        return {**read, **folds}

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.evaluate import evaluate as run
        from runwright_components.report import report_page

        run(parsed, model=trained, prepared=prepared, out=out, progress=progress)
        html = report_page(run_name=run_name, prepared=prepared, model=trained, evaluation=out)
        write_bytes(page, html.encode())

    def say() -> str:
        document = Evaluation.read(out, EVALUATION)
        metadata.show(evaluation, metadata.evaluation(document))
        metadata.show(metrics, metadata.metrics(document))
        metadata.show(classification, metadata.classification(document))
        name = KINDS[document.task].shown[0]
        figure = f"{name} {document.metrics[name]:.4f}, " if name in document.metrics else ""
        return f"{figure}{document.rows:,} {KINDS[document.task].judged}, gate {document.verdict}"

    outputs = {"evaluation": out, "report": page}
    here = Surroundings.of(os.environ)
    here.kept(
        "evaluate",
        config=parsed.digest(),
        inputs=inputs,
        outputs=outputs,
        make=make,
        say=say,
        result=lambda: clustered.evaluation(Evaluation.read(out, EVALUATION)),
    )
    judged = Evaluation.read(out, EVALUATION).verdict
    if verdict:
        write_bytes(Path(verdict), judged.encode())
    return judged


def package(
    *, config: str, verdict: str, model: Artifact, prepared_data: Artifact, evaluation: Artifact, package: Artifact
) -> None:
    parsed: PackageConfig = parse(PackageConfig, config)
    trained, prepared, judged, out = (Path(item.path) for item in (model, prepared_data, evaluation, package))
    here = Surroundings.of(os.environ)
    if _withheld(verdict):
        return _skip("package", here)

    def inputs() -> dict[str, str]:
        return {
            "model": ModelManifest.read(trained).digest,
            "prepared_data": PreparedManifest.read(prepared).digest,
            "evaluation": file_digest(judged / EVALUATION),
        }

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.package import package as run

        kept = in_cluster() is not None  # rejected as well; see _withheld
        run(parsed, model=trained, evaluation=judged, prepared=prepared, out=out, progress=progress, rejected=kept)

    def say() -> str:
        manifest = PackageManifest.read(out)
        metadata.show(package, metadata.package(manifest))
        parity = f", parity {manifest.parity:.1e}" if manifest.parity is not None else ""
        return f"{len(manifest.files)} files{parity}"

    here.kept(
        "package",
        config=parsed.digest(),
        inputs=inputs,
        outputs={"package": out},
        make=make,
        say=say,
        result=lambda: clustered.package(PackageManifest.read(out)),
    )
    return None


def register(*, config: str, base: str, verdict: str, package: Artifact, registration: Artifact) -> None:
    parsed = clustered.in_storage(parse(RegisterConfig, config))
    here = Surroundings.of(os.environ)
    if _withheld(verdict):
        return _skip("register", here)
    with running("register", here.workspace) as ending:
        from runwright_components.register import register as run

        place = parsed.uri if "://" in parsed.uri else str(Path(base) / parsed.uri) if parsed.uri else here.registry
        document = run(parsed.model_copy(update={"uri": place}), package=Path(package.path), progress=ending.progress)
        _write(document, registration)
        metadata.show(registration, metadata.registration(document))
        ending.message = f"{document.name} {document.version}{'' if document.created else ', there already'}"
        ending.result = clustered.registration(document, PackageManifest.read(Path(package.path)))
    return None


def deploy(*, config: str, verdict: str, registration: Artifact, deployment: Artifact) -> None:
    parsed: DeployConfig = parse(DeployConfig, config)
    here, cluster = Surroundings.of(os.environ), in_cluster()
    if verdict == REJECTED:
        return _skip("deploy", here)
    if cluster is not None and cluster.run.service is None:
        return _skip("deploy", here, "this revision is not to be deployed")
    if here.workspace and parsed.mode != "none":
        parsed = parsed.model_copy(update={"mode": "local"})  # a cluster's InferenceService, on one machine
    with running("deploy", here.workspace) as ending:
        path = Path(registration.path)
        registered = Registration.read(path.parent, path.name)
        if cluster is not None:
            document = clustered.deploy(cluster, registration=registered, progress=ending.progress)
        else:
            from runwright_components.deploy import deploy as run

            document = run(
                parsed,
                registration=registered,
                workspace=here.workspace or Path(),
                progress=ending.progress,
            )
        _write(document, deployment)
        metadata.show(deployment, metadata.deployment(document))
        ending.message = f"{document.mode}: {document.uri}"
        ending.result = clustered.deployment(document)
    return None


def model(
    *,
    train_config: str,
    evaluate_config: str,
    package_config: str,
    register_config: str,
    deploy_config: str,
    base: str,
    run_name: str,
    prepared_data: Artifact,
    model: Artifact,
    training_metrics: Artifact,
    learning_curves: Artifact,
    evaluation: Artifact,
    metrics: Artifact,
    classification: Artifact,
    report: Artifact,
    package: Artifact,
    registration: Artifact,
    deployment: Artifact,
) -> None:
    """All that follows the data, in one pod: what each stage makes is where the next one looks."""
    train(
        config=train_config,
        base=base,
        prepared_data=prepared_data,
        model=model,
        training_metrics=training_metrics,
        learning_curves=learning_curves,
    )
    verdict = evaluate(
        config=evaluate_config,
        run_name=run_name,
        model=model,
        prepared_data=prepared_data,
        evaluation=evaluation,
        metrics=metrics,
        classification=classification,
        report=report,
    )
    _package(
        config=package_config,
        verdict=verdict,
        model=model,
        prepared_data=prepared_data,
        evaluation=evaluation,
        package=package,
    )
    register(config=register_config, base=base, verdict=verdict, package=package, registration=registration)
    deploy(config=deploy_config, verdict=verdict, registration=registration, deployment=deployment)


_package = package  # `model` has an artifact of that name


def _withheld(verdict: str) -> bool:
    """Whether a rejected model goes no further. In a cluster it is packaged and registered all the same, for a changed
    gate may publish it later without training; only deploy is withheld."""
    return verdict == REJECTED and in_cluster() is None


def _skip(stage: Any, here: Surroundings, why: str = SKIPPED) -> None:
    with running(stage, here.workspace) as ending:
        ending.message, ending.skipped = why, True


def _write(document: Registration | Deployment, artifact: Artifact) -> None:
    path = Path(artifact.path)
    document.write(path.parent, path.name)


__all__ = ["deploy", "evaluate", "model", "package", "register", "train"]
