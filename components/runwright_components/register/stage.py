"""The register stage: from a package to a version of a registry."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from runwright_components.contract.artifacts import MANIFEST, PackageManifest, Registration
from runwright_components.contract.config import RegisterConfig
from runwright_components.contract.files import files_digest
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.register.folder import register_folder
from runwright_components.register.object_storage import register_objects
from runwright_components.storage.addresses import S3Address
from runwright_components.storage.s3 import Bucket

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


def register(config: RegisterConfig, *, package: Path, progress: Progress) -> Registration:
    """Publish `package` as the next version under `config.uri`/`config.name`, unless it is published already.

    Safe against others that register at the same time. Raises StageError: DigestMismatch for a package that was
    altered, the storage's own reasons otherwise; a failure never leaves a version behind.
    """
    progress.emit("start", f"{config.name} to {config.uri}")
    if not _NAME.fullmatch(config.name):
        raise StageError(
            Reason.INVALID_CONFIG,
            f"{config.name!r} cannot name a folder",
            where="metadata.name",
            cure="use letters, digits, '.', '_' and '-'",
        )
    manifest = PackageManifest.read(package)
    _check_table(manifest, package)
    if config.uri.startswith("s3://"):
        address = S3Address.parse(config.uri)
        bucket = Bucket(address.bucket, endpoint=config.endpoint, region=config.region)
        prefix = "/".join(part for part in (address.key.strip("/"), config.name) if part)
        registration = register_objects(bucket, prefix, config.name, package, manifest, progress)
    else:
        home = Path(config.uri.removeprefix("file://"), config.name).absolute()
        registration = register_folder(home, config.name, package, manifest, progress)
    progress.emit("done", f"version {registration.version}{'' if registration.created else ' was there already'}")
    return registration


def _check_table(manifest: PackageManifest, package: Path) -> None:
    """The manifest's own digest holds, and none of its names leads out of the folder."""
    for name in manifest.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or name in ("", MANIFEST):
            raise StageError(
                Reason.DIGEST_MISMATCH,
                f"the manifest lists {name!r}, which is no file of a package",
                where=str(package),
                cure="run the package stage again",
            )
    if files_digest(manifest.files) != manifest.digest:
        raise StageError(
            Reason.DIGEST_MISMATCH,
            "the manifest was altered: its digest is not the one of its table of files",
            where=str(package),
            cure="run the package stage again",
        )
