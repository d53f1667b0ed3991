"""An image as files: its configuration, its manifest, and the OCI layout that registries and engines take."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.layers import Layer, remove
from images.table import ENVIRONMENT, SOURCE, USER, Image

_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_PLATFORM = {"architecture": "amd64", "os": "linux"}


@dataclass(frozen=True)
class Assembled:
    """A finished image. `folder` is its OCI layout."""

    image: Image
    version: str
    layers: tuple[Layer, ...]
    digest: str
    folder: Path

    @property
    def size(self) -> int:
        """What a registry holds and a node pulls, in bytes."""
        return sum(layer.size for layer in self.layers)

    @property
    def unpacked(self) -> int:
        return sum(layer.unpacked for layer in self.layers)


def assemble(image: Image, version: str, licence: str, layers: Sequence[Layer], folder: Path) -> Assembled:
    """Write the layout into `folder`. Nothing in it tells when or where it was made."""
    remove(folder)
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    for layer in layers:
        _share(layer.path, blobs / _hex(layer.digest))
    config = _write(blobs, _config(image, version, licence, layers))
    manifest = _write(
        blobs,
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, **config},
            "layers": [{"mediaType": _LAYER, "digest": one.digest, "size": one.size} for one in layers],
        },
    )
    entry = {"mediaType": _MANIFEST, **manifest, "platform": _PLATFORM}
    _dump(folder / "index.json", {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]})
    _dump(folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    return Assembled(image, version, tuple(layers), str(manifest["digest"]), folder)


def save(built: Assembled, reference: str, target: Path) -> None:
    """One archive of the image under the name `reference`, which `ctr`, `kind`, `podman` and `docker` load."""
    index = json.loads((built.folder / "index.json").read_text())
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rpartition(":")[2]}
    index["manifests"][0]["annotations"] = names
    config = json.loads((built.folder / "blobs/sha256" / _hex(built.digest)).read_text())["config"]["digest"]
    docker = {  # what engines before OCI layouts read
        "Config": f"blobs/sha256/{_hex(config)}",
        "RepoTags": [reference],
        "Layers": [f"blobs/sha256/{_hex(layer.digest)}" for layer in built.layers],
    }
    part = target.with_suffix(".part")
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in built.folder.rglob("*") if path.is_file() and path.name != "index.json"):
            _add(archive, path.relative_to(built.folder).as_posix(), path)
        for name, content in (("index.json", index), ("manifest.json", [docker])):
            described = part.with_name(f".{part.name}.{name}")
            _dump(described, content)
            _add(archive, name, described)
            described.unlink()
    part.rename(target)


def _config(image: Image, version: str, licence: str, layers: Sequence[Layer]) -> dict[str, Any]:
    command = {"Entrypoint": list(image.entrypoint)} if image.entrypoint else {}
    return {
        **_PLATFORM,
        "config": {
            "User": f"{USER}:{USER}",
            "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
            "WorkingDir": "/tmp",  # noqa: S108 (in the container)
            **command,
            "Labels": {
                "org.opencontainers.image.title": image.name,
                "org.opencontainers.image.description": image.about,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": licence,
                "org.opencontainers.image.source": SOURCE,
                "org.opencontainers.image.base.name": "docker.io/library/debian:12",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": f"runwright images: {layer.kind}"} for layer in layers],
    }


def _write(blobs: Path, content: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    summed = hashlib.sha256(data).hexdigest()
    (blobs / summed).write_bytes(data)
    return {"digest": f"sha256:{summed}", "size": len(data)}


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True))


def _share(source: Path, target: Path) -> None:
    """A second name for a layer's file. Both lie in the cache, on one disk."""
    if not target.exists():
        os.link(source, target)


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = path.stat().st_size, 0o644
    with path.open("rb") as content:
        archive.addfile(member, content)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
