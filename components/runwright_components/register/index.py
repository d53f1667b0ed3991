"""index.json beside the versions: what is there, for people and for a quick look. Always derived, never the truth."""

from __future__ import annotations

from collections.abc import Mapping

from runwright_components.contract.artifacts import Document, PackageManifest

INDEX = "index.json"


class IndexEntry(Document):
    version: int
    digest: str  # the package's
    model_digest: str


class Index(Document):
    name: str
    versions: tuple[IndexEntry, ...] = ()

    @classmethod
    def of(cls, name: str, manifests: Mapping[int, PackageManifest]) -> Index:
        return cls(
            name=name,
            versions=tuple(
                IndexEntry(version=number, digest=manifest.digest, model_digest=manifest.model_digest)
                for number, manifest in sorted(manifests.items())
            ),
        )
