"""The deploy stage on one machine: a link in the workspace that names the version to serve."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from runwright_components.contract.artifacts import MANIFEST, Deployment, PackageManifest, Registration
from runwright_components.contract.config import DeployConfig
from runwright_components.contract.files import disk_errors, new_folder, verify_files
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.register.object_storage import read_manifest
from runwright_components.storage.addresses import S3Address
from runwright_components.storage.s3 import Bucket

SERVING = "serving"
PACKAGES = "packages"  # versions that were brought from object storage
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


def deploy(config: DeployConfig, *, registration: Registration, workspace: Path, progress: Progress) -> Deployment:
    """Point `workspace`/serving to the registered version, in one step: readers see the old version or the new one.

    Mode `none` changes nothing. The modes of a cluster do on a single machine what `local` does; a cluster has
    `cluster.deployment` for them.
    Raises StageError: DigestMismatch when the version is not the one registered, Unsupported in a cluster.
    """
    if config.mode in ("Standard", "Knative") and _IN_CLUSTER in os.environ:
        raise StageError(
            Reason.UNSUPPORTED,
            f"the step was not told of its cluster, so it cannot deploy to one (mode {config.mode})",
            where="deploy.mode",
            cure="submit the pipeline by the operator, which tells it, or set deploy.mode: None",
        )
    progress.emit("start", f"{registration.name} version {registration.version}")
    if config.mode == "none":
        manifest = _manifest(registration)
        progress.emit("done", "nothing to deploy")
        return Deployment(name=config.name, mode="none", uri=registration.uri, model_digest=manifest.model_digest)
    with disk_errors(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        folder = _local_folder(registration, workspace, progress)
        manifest = PackageManifest.read(folder)
        _check(manifest, registration)
        point(workspace / SERVING, folder)
    progress.emit("done", f"{workspace / SERVING} -> {folder}")
    return Deployment(
        name=config.name,
        mode="local",
        uri=registration.uri,
        model_digest=manifest.model_digest,
        extra={"version": registration.version},
    )


def point(link: Path, target: Path) -> None:
    """Make `link` a symbolic link to `target` by one rename; relative when the target lies beside it, so that the
    whole folder can be moved."""
    if link.exists() and not link.is_symlink():
        raise StageError(
            Reason.INVALID_CONFIG, "it is a file or folder, not our link", where=str(link), cure="move it away"
        )
    home = link.parent.resolve()
    target = target.resolve()
    text = os.path.relpath(target, home) if target.is_relative_to(home) else str(target)
    temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
    temporary.symlink_to(text)
    try:
        temporary.replace(link)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _local_folder(registration: Registration, workspace: Path, progress: Progress) -> Path:
    if not registration.uri.startswith("s3://"):
        return Path(registration.uri)
    target = workspace / PACKAGES / f"{registration.name}-{registration.version}"
    if (target / MANIFEST).is_file() and PackageManifest.read(target).digest == registration.digest:
        return target
    bucket, prefix = _in_bucket(registration)
    manifest = read_manifest(bucket, prefix)
    with new_folder(target) as folder:
        for done, name in enumerate(manifest.files, start=1):
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise _mismatch(registration, f"the manifest lists {name!r}, which is no file of a package")
            path.parent.mkdir(parents=True, exist_ok=True)
            bucket.download(f"{prefix}/{name}", path, on_bytes=lambda _size: None)
            progress.update(done, len(manifest.files), unit="files")
        verify_files(folder, manifest.files)
        manifest.write(folder)
    return target


def _manifest(registration: Registration) -> PackageManifest:
    if registration.uri.startswith("s3://"):
        return read_manifest(*_in_bucket(registration))
    return PackageManifest.read(Path(registration.uri))


def _in_bucket(registration: Registration) -> tuple[Bucket, str]:
    """Endpoint and region are the environment's (AWS_ENDPOINT_URL, AWS_REGION)."""
    address = S3Address.parse(registration.uri)
    return Bucket(address.bucket, endpoint=None, region=None), address.key.rstrip("/")


def _check(manifest: PackageManifest, registration: Registration) -> None:
    if manifest.digest != registration.digest:
        raise _mismatch(registration, f"it holds {manifest.digest}, registered was {registration.digest}")


def _mismatch(registration: Registration, message: str) -> StageError:
    return StageError(
        Reason.DIGEST_MISMATCH, message, where=registration.uri, cure="register the package again for a new version"
    )
