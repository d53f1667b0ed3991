"""The package stage: refuses what was not judged, proves parity, and writes the folder."""

from __future__ import annotations

from pathlib import Path

from runwright_components.contract.artifacts import (
    EXAMPLE,
    HISTORY,
    LINEAGE,
    MANIFEST,
    METRICS,
    MODEL_CARD,
    OUTPUTS,
    QUALITY,
    SIGNATURE,
    WEIGHTS,
    Document,
    Lineage,
    ModelManifest,
    PackageManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.config import ModelConfig, PackageConfig
from runwright_components.contract.evaluation import EVALUATION, Evaluation
from runwright_components.contract.files import (
    files_digest,
    folder_files,
    link_or_copy,
    new_folder,
    verify_files,
    write_bytes,
    write_json,
)
from runwright_components.contract.gate import SPEED
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.package.card import model_card
from runwright_components.package.parity import check_own_outputs, check_parity
from runwright_components.prepare.quality import Quality
from runwright_components.train.boosting import BOOSTERS

ARCHITECTURE = "model.json"
_SETTINGS = ("encoder.json", "decoder.json", "policy.json")  # beside the weights of an encoder, decoder or policy


class Architecture(Document):
    """`model.json`: what is needed to build the torch module that `weights.safetensors` fit."""

    model: ModelConfig
    parameters: int
    classes: int
    categories: tuple[int, ...] = ()
    vocabulary: int | None = None


def package(
    config: PackageConfig,
    *,
    model: Path,
    evaluation: Path,
    prepared: Path,
    out: Path,
    progress: Progress,
    rejected: bool = False,
) -> PackageManifest:
    """Write the package of a model that passed its evaluation into `out`; with `rejected`, of one that did not as well.

    The package's digest depends on the inputs alone: it holds no times, and nothing that was timed. Raises StageError:
    DigestMismatch when the model was altered or the evaluation is of another model or other data, GateRejected when it
    did not pass, ParityFailed when the ONNX graph and the model's own weights disagree.
    """
    manifest, data = ModelManifest.read(model), PreparedManifest.read(prepared)
    judged = Evaluation.read(evaluation, EVALUATION)
    _refuse_unjudged(manifest, judged, data, model=model, evaluation=evaluation)
    if not rejected:
        _refuse_rejected(judged, evaluation)
    check = check_own_outputs if manifest.model.name == "code" else check_parity
    parity = check(model, prepared, config.parity_tolerance, progress)
    if parity is not None:
        progress.note(f"the weights and ONNX Runtime differ by at most {parity:.2g}")
    # Speed is of the machine, not of the model; with it two packages of one model would differ.
    metrics = {name: value for name, value in judged.metrics.items() if name not in SPEED}
    with new_folder(out) as folder:
        _copy_model(config, manifest, model, folder)
        manifest.signature.write(folder, SIGNATURE)
        write_json(folder / EXAMPLE, {"instances": [manifest.signature.example]})
        write_json(folder / METRICS, _metrics(judged, metrics))
        _lineage(config, manifest, data).write(folder, LINEAGE)
        card = model_card(
            config,
            model=manifest,
            evaluation=judged,
            prepared=data,
            quality=Quality.read(prepared, QUALITY),
            metrics=metrics,
            parity=parity,
        )
        write_bytes(folder / MODEL_CARD, card.encode())
        files = folder_files(folder, without=(MANIFEST,))
        result = PackageManifest(
            digest=files_digest(files),
            name=config.name,
            model_digest=manifest.digest,
            task=manifest.task,
            modality=manifest.modality,
            files=files,
            parity=parity,
        )
        result.write(folder)
    return result


def _refuse_unjudged(
    manifest: ModelManifest, judged: Evaluation, data: PreparedManifest, *, model: Path, evaluation: Path
) -> None:
    """The metrics must be those of exactly these files and data, and must have passed."""
    verify_files(model, manifest.files)
    actual = model_digest(manifest.files)
    if actual != manifest.digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"the model's files have the digest {actual}, its manifest says {manifest.digest}",
            where=str(model),
            cure="the manifest was altered; run training again",
        )
    if judged.model_digest != actual:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"the evaluation is of the model {judged.model_digest}, this model is {actual}",
            where=str(evaluation / EVALUATION),
            cure="evaluate this model; metrics of another one say nothing about it",
        )
    if judged.prepared_digest != data.digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            f"the evaluation is on the data {judged.prepared_digest}, these are {data.digest}",
            where=str(evaluation / EVALUATION),
            cure="evaluate on these data",
        )


def _refuse_rejected(judged: Evaluation, evaluation: Path) -> None:
    if judged.verdict != "passed":
        failed = [check.message for check in judged.checks if not check.passed]
        raise StageError(
            Reason.GATE_REJECTED,
            "the gate rejected the model" + (f": {'; '.join(failed)}" if failed else ""),
            where=str(evaluation / EVALUATION),
            cure="train a better model, or change the bounds in evaluate.gate",
        )


def _copy_model(config: PackageConfig, manifest: ModelManifest, model: Path, folder: Path) -> None:
    """The graph and the preprocessing always, for nothing is served without; the family's own weights when asked."""
    left_out = {HISTORY, OUTPUTS}
    if "safetensors" in config.formats:
        Architecture(
            model=manifest.model,
            parameters=manifest.parameters,
            classes=manifest.classes,
            categories=manifest.categories,
            vocabulary=manifest.vocabulary,
        ).write(folder, ARCHITECTURE)
    else:
        left_out |= {WEIGHTS, *_SETTINGS, *BOOSTERS.values()}
    for name in sorted(set(manifest.files) - left_out):
        link_or_copy(model / name, folder / name)


def _metrics(judged: Evaluation, metrics: dict[str, float]) -> dict[str, object]:
    """`metrics.json`: the evaluation without latency, curves and pairs, bound to the model by its digest."""
    kept = judged.model_dump(
        mode="json", include={"model_digest", "prepared_digest", "task", "verdict", "rows", "per_class", "slices"}
    )
    checks = [check.model_dump(mode="json") for check in judged.checks if check.metric in metrics]
    error = judged.calibration.error if judged.calibration else None
    return {**kept, "metrics": metrics, "checks": checks, "calibration_error": error}


def _lineage(config: PackageConfig, manifest: ModelManifest, data: PreparedManifest) -> Lineage:
    return Lineage(
        stage="package",
        config=config.digest(),
        inputs={"model": manifest.digest, "prepared": data.digest},
        version=manifest.lineage.version,
        parents=(manifest.lineage,),
    )
