"""An image as files: its configuration, its manifest, and the OCI layout that registries and engines take."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from images.layers import Layer, alone
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
    """The image of these layers; its layout is written below `folder`. Nothing in it tells when or where."""
    config = _encoded(_config(image, version, licence, layers))
    manifest = _encoded(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, **_descriptor(config)},
            "layers": [{"mediaType": _LAYER, "digest": one.digest, "size": one.size} for one in layers],
        }
    )
    entry = {"mediaType": _MANIFEST, **_descriptor(manifest), "platform": _PLATFORM}
    digest = str(entry["digest"])
    target = folder / f"{image.name}-{_hex(digest)}"
    folder.mkdir(parents=True, exist_ok=True)
    with alone(target):
        if target.exists():
            os.utime(target)
        else:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".work-") as made:
                layout = Path(made) / "layout"
                blobs = layout / "blobs/sha256"
                blobs.mkdir(parents=True)
                for content in (config, manifest):
                    (blobs / _hex(_descriptor(content)["digest"])).write_bytes(content)
                for digest_of_layer, path in {layer.digest: layer.path for layer in layers}.items():
                    os.link(path, blobs / _hex(digest_of_layer))
                (layout / "index.json").write_bytes(
                    _encoded({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]})
                )
                (layout / "oci-layout").write_bytes(_encoded({"imageLayoutVersion": "1.0.0"}))
                layout.rename(target)
    return Assembled(image, version, tuple(layers), digest, target)


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
            with path.open("rb") as content:
                _add(archive, path.relative_to(built.folder).as_posix(), path.stat().st_size, content)
        for name, described in (("index.json", _encoded(index)), ("manifest.json", _encoded([docker]))):
            _add(archive, name, len(described), io.BytesIO(described))
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


def _encoded(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _descriptor(content: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _add(archive: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, content)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
