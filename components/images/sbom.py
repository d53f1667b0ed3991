"""The bill of materials of an image, as CycloneDX 1.6 in JSON. The same parts give the same bytes."""

from __future__ import annotations

import hashlib
import tarfile
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from images.layers import Layer, Part

PLACE = "usr/share/sbom/runwright.cdx.json"
_EPOCH = datetime.fromtimestamp(0, UTC)  # when it was built decides nothing, so it is not told


def bill(image: str, about: str, version: str, parts: Iterable[Part]) -> bytes:
    """The document for an image of these parts."""
    listed = sorted(set(parts), key=lambda part: part.purl)
    root = Component(type=ComponentType.CONTAINER, name=image, version=version, description=about, bom_ref=image)
    components = [_component(part) for part in listed]
    summed = hashlib.sha256(repr((image, version, listed)).encode()).hexdigest()
    bom = Bom(
        components=components,
        serial_number=uuid.UUID(summed[:32], version=5),
        metadata=BomMetaData(component=root, timestamp=_EPOCH),
    )
    bom.register_dependency(root, components)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def _component(part: Part) -> Component:
    return Component(
        name=part.name,
        version=part.version,
        description=part.about or None,
        purl=PackageURL.from_string(part.purl),
        licenses=_licences(part.licences),
        bom_ref=part.purl,
    )


def _licences(names: tuple[str, ...]) -> list[License]:
    """One licence may be an expression; several are told one by one, and the format knows no list of expressions."""
    factory = LicenseFactory()
    found = [factory.make_from_string(name) for name in names]
    if len(found) > 1:
        return [
            factory.make_with_name(name) if isinstance(licence, LicenseExpression) else licence
            for name, licence in zip(names, found, strict=True)
        ]
    return found


def of(uppermost: Layer) -> bytes:
    """The document as it lies in an image's uppermost layer."""
    with tarfile.open(uppermost.path) as archive:
        found = archive.extractfile(PLACE)
        assert found is not None
        return found.read()
