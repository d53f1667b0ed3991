"""The steps of the pipeline: from KFP's artifacts and parameters to the stages, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from runwright_components.cache import cache_key
from runwright_components.contract.artifacts import (
    EVALUATION,
    FOLDS,
    HISTORY,
    Deployment,
    Evaluation,
    History,
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    RawManifest,
    Registration,
)
from runwright_components.contract.config import (
    CollectConfig,
    DeployConfig,
    EvaluateConfig,
    PackageConfig,
    PrepareConfig,
    ReachConfig,
    RegisterConfig,
    TrainConfig,
    parse,
)
from runwright_components.contract.databases import address_variable
from runwright_components.contract.files import file_digest, write_bytes
from runwright_components.contract.kinds import KINDS
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Progress
from runwright_components.contract.tuning import tuning_of
from runwright_components.steps import clustered, fingerprints, metadata
from runwright_components.steps.running import Surroundings, running
from runwright_components.steps.surroundings import in_cluster

REJECTED = "rejected"
SKIPPED = "the gate rejected the model"


class Artifact(Protocol):
    """A KFP artifact: where its files are, and what the dashboard shows."""

    path: str
    uri: str
    metadata: dict[str, Any]


def collect(*, config: str, base: str, raw_data: Artifact) -> None:
    given: CollectConfig = parse(CollectConfig, config)
    parsed = given.model_copy(update={"base": base})
    out = Path(raw_data.path)
    here = Surroundings.of(os.environ)
    if (cluster := in_cluster()) is not None:
        parsed = parsed.within(ReachConfig(private=False, allowed=cluster.run.sources_allowed))
        headers = (name for source in parsed.sources for name in source.headers_env.values())
        cluster.record("collect").hide(os.environ.get(name, "") for name in headers)
        cluster.record("collect").hide(_addresses(parsed))

    def sources() -> dict[str, str]:
        from runwright_components.collect import fingerprint

        return {"sources": fingerprint(parsed)}

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.collect import collect as run
        from runwright_components.collect import left_for_the_next

        run(parsed, out=out, progress=progress, former=_read_before(parsed, here, progress))
        if left := left_for_the_next(out):
            here.leave("collect", "raw_data", left)

    def say() -> str:
        manifest = RawManifest.read(out)
        metadata.show(raw_data, metadata.raw_data(manifest))
        return f"{manifest.rows:,} rows, {len(manifest.columns)} columns"

    here.kept("collect", config=given.digest(), inputs=sources, outputs={"raw_data": out}, make=make, say=say)


def _read_before(config: CollectConfig, here: Surroundings, progress: Progress) -> Path | None:
    """The raw data of the revision before, where a source is read on from them."""
    if not here.use_cache or not config.reads_on:
        return None
    try:
        return here.former("collect", "raw_data")
    except StageError as error:
        progress.warning(f"all is read again: what the revision before has read cannot be had: {error}")
        return None


def _addresses(config: CollectConfig) -> Iterator[str]:
    """What the addresses of databases have that no record may show."""
    for source in config.sources:
        if source.sql is not None and source.sql.path is None:
            from runwright_components.collect.sql.addresses import secrets_of

            yield from secrets_of(os.environ.get(address_variable(source.name), ""))


def prepare(*, config: str, base: str, raw_data: Artifact, prepared_data: Artifact, data_quality: Artifact) -> None:
    given: PrepareConfig = parse(PrepareConfig, config)
    parsed = given.model_copy(update={"base": base})
    raw, out, page = Path(raw_data.path), Path(prepared_data.path), Path(data_quality.path)
    here, cluster = Surroundings.of(os.environ), in_cluster()

    def inputs() -> dict[str, str]:
        return {"raw_data": RawManifest.read(raw).digest, **fingerprints.pretrained(parsed.pretrained, base)}

    def make(progress: Progress, _key: str) -> None:
        from runwright_components.prepare import left_for_the_next
        from runwright_components.prepare import prepare as run
        from runwright_components.prepare.drift import drift_since, sentences
        from runwright_components.report import quality_page

        former = here.former("prepare", "prepared_data")
        if cluster is not None and cluster.run.data is not None:
            clustered.prepare(cluster, given, raw=raw, former=former, out=out, progress=progress)
        else:
            run(parsed, raw=raw, out=out, progress=progress, former=former)
        found = drift_since(former, out)
        for sentence in sentences(found):
            progress.warning(sentence)
        write_bytes(page, quality_page(out, found).encode())
        here.leave("prepare", "prepared_data", left_for_the_next(out))

    def say() -> str:
        manifest = PreparedManifest.read(out)
        metadata.show(prepared_data, metadata.prepared_data(manifest))
        rows = manifest.rows
        return f"{rows['train']:,} training, {rows['validation']:,} validation, {rows['test']:,} test rows"

    outputs = {"prepared_data": out, "data_quality": page}
    here.kept("prepare", config=given.digest(), inputs=inputs, outputs=outputs, make=make, say=say)


def data(
    *,
    collect_config: str,
    prepare_config: str,
    base: str,
    raw_data: Artifact,
    prepared_data: Artifact,
    data_quality: Artifact,
) -> None:
    collect(config=collect_config, base=base, raw_data=raw_data)
    prepare(config=prepare_config, base=base, raw_data=raw_data, prepared_data=prepared_data, data_quality=data_quality)


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


__all__ = ["collect", "data", "deploy", "evaluate", "model", "package", "prepare", "register", "train"]
