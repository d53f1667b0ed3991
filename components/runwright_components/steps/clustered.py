"""What steps do in a cluster, and what their records keep: results by stage as `contract.cluster` documents them.

The modules that talk to the cluster are imported when they are needed: on one machine they need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runwright_components.contract.artifacts import Deployment, ModelManifest, PackageManifest, Registration
from runwright_components.contract.config import PrepareConfig, RegisterConfig, TrainConfig
from runwright_components.contract.evaluation import Evaluation
from runwright_components.contract.progress import Progress
from runwright_components.contract.tuning import Tuning
from runwright_components.steps.surroundings import InCluster, in_cluster


def train(here: InCluster, config: TrainConfig, *, prepared: Path, out: Path, progress: Progress) -> None:
    """Train as a job, or search with a job for each trial."""
    from runwright_components.cluster.training import train_in_cluster

    work: Callable[..., ModelManifest] = train_in_cluster
    if config.tune is not None and config.tune.jobs:
        from runwright_components.cluster.search.step import search_in_cluster as work
    record = here.record("train")
    work(here.kubernetes, here.run, here.run_id, config, prepared=prepared, out=out, record=record, progress=progress)


def prepare(
    here: InCluster, config: PrepareConfig, *, raw: Path, former: Path | None, out: Path, progress: Progress
) -> None:
    """Prepare as a job of the engine."""
    from runwright_components.cluster.data_jobs import Given, prepare_in_cluster

    prepare_in_cluster(
        here.kubernetes,
        here.run,
        here.run_id,
        Given(config, raw, former),
        out=out,
        record=here.record("prepare"),
        progress=progress,
    )


def in_storage(config: RegisterConfig) -> RegisterConfig:
    """In a cluster, packages lie in the store that the model's pods fetch them from: the storage's."""
    here = in_cluster()
    if here is None:
        return config
    storage = here.run.storage
    address = {"endpoint": config.endpoint or storage.endpoint, "region": config.region or storage.region}
    return config.model_copy(update=address)


def deploy(here: InCluster, *, registration: Registration, progress: Progress) -> Deployment:
    """Serve the registered version as an InferenceService."""
    from runwright_components.cluster.deployment import deploy_in_cluster

    assert here.run.service is not None
    return deploy_in_cluster(
        here.kubernetes,
        here.run,
        here.run_id,
        here.run.service,
        registration=registration,
        record=here.record("deploy"),
        progress=progress,
    )


def evaluation(document: Evaluation) -> dict[str, Any]:
    kept = {"model_digest", "verdict", "metrics", "slices", "checks"}
    return document.model_dump(mode="json", include=kept)


def training(manifest: ModelManifest, tuning: Tuning | None) -> dict[str, Any]:
    """What it cost, where it is known (own code that trains elsewhere does not tell), and what a search found."""
    cost = {} if manifest.cost is None else {"cost": manifest.cost.model_dump(mode="json", exclude_none=True)}
    return cost if tuning is None else {**cost, "tuning": tuning.brief()}


def package(manifest: PackageManifest) -> dict[str, Any]:
    return {"digest": manifest.digest, "model_digest": manifest.model_digest}


def registration(document: Registration, manifest: PackageManifest) -> dict[str, Any]:
    return {
        "uri": document.uri,
        "version": document.version,
        "digest": document.digest,
        "model_digest": manifest.model_digest,
    }


def deployment(document: Deployment) -> dict[str, Any]:
    return {"url": document.url, "model_digest": document.model_digest}
