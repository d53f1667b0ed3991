"""An image's configuration, its layout, its archive, its bill of materials, and our own layer."""

import json
import tarfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images import base, oci, ours, sbom
from images.layers import Layer, Part, Store
from images.table import IMAGES

ROOT = Path(__file__).parents[3]
PARTS = (
    Part("libc6", "2.36-9+deb12u9", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64", ("LGPL-2.1+", "GPL-2", "MIT")),
    Part("numpy", "2.4.6", "pkg:pypi/numpy@2.4.6", ("BSD-3-Clause AND MIT",), "Arrays"),
    Part("silent", "1", "pkg:pypi/silent@1"),
)


@pytest.fixture
def layers(tmp_path: Path) -> list[Layer]:
    def fill(folder: Path) -> tuple[Part, ...]:
        (folder / "file").write_text(folder.as_posix()[:1])
        return PARTS

    store = Store(tmp_path / "store")
    return [store.layer(kind, "key", fill).layer for kind in ("base", "code")]


def assembled(layers: list[Layer], folder: Path) -> oci.Assembled:
    return oci.assemble(IMAGES["operator"], "0.1.0", "Apache-2.0", layers, folder)


def test_the_digest_depends_on_the_content_alone(layers: list[Layer], tmp_path: Path) -> None:
    first, again, second = (assembled(layers, tmp_path / name) for name in ("first", "first", "second"))
    assert first == again
    assert (first.digest, first.folder.name) == (second.digest, second.folder.name)
    for path in filter(Path.is_file, first.folder.rglob("*")):
        assert path.read_bytes() == (second.folder / path.relative_to(first.folder)).read_bytes()
    assert first.digest != assembled(layers[:1], tmp_path / "third").digest


def test_every_image_runs_as_a_user_by_number_and_tells_what_it_is(layers: list[Layer], tmp_path: Path) -> None:
    for image in IMAGES.values():
        built = oci.assemble(image, "0.1.0", "Apache-2.0", layers, tmp_path / image.name)
        blobs = built.folder / "blobs/sha256"
        manifest = json.loads((blobs / built.digest.removeprefix("sha256:")).read_text())
        config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
        assert config["config"]["User"] == "65532:65532"
        assert {"PYTHONSAFEPATH=1", "PYTHONDONTWRITEBYTECODE=1"} <= set(config["config"]["Env"])
        assert config["config"]["Labels"]["org.opencontainers.image.title"] == image.name
        assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in layers]
        assert [layer["digest"] for layer in manifest["layers"]] == [layer.digest for layer in layers]
        assert config["config"].get("Entrypoint", []) == list(image.entrypoint)


def test_a_saved_image_is_an_oci_layout_that_older_engines_read_too(layers: list[Layer], tmp_path: Path) -> None:
    built = assembled(layers, tmp_path / "layout")
    oci.save(built, "example.com/runwright/operator:1", tmp_path / "operator.tar")
    with tarfile.open(tmp_path / "operator.tar") as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["digest"] == built.digest
    assert entry["annotations"]["io.containerd.image.name"] == "example.com/runwright/operator:1"
    old = json.loads(files["manifest.json"])[0]
    assert old["RepoTags"] == ["example.com/runwright/operator:1"]
    assert {old["Config"], *old["Layers"], "oci-layout"} <= set(files)


def test_the_bill_of_materials_is_valid_and_always_the_same() -> None:
    first = sbom.bill("operator", "the operator", "0.1.0", PARTS)
    assert first == sbom.bill("operator", "the operator", "0.1.0", tuple(reversed(PARTS)))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first.decode()) is None
    told = {one["name"]: one for one in json.loads(first)["components"]}
    assert set(told) == {"libc6", "numpy", "silent"}
    assert told["numpy"]["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert len(told["libc6"]["licenses"]) == 3
    assert json.loads(first)["metadata"]["component"]["type"] == "container"


def test_our_layer_holds_the_packages_of_the_wheel_with_their_data_and_metadata(tmp_path: Path) -> None:
    project = ours.project(ROOT)
    files = ours.files(project, ["runwright_components", "runwright_pipelines"])
    names = set(files)
    assert {
        "runwright_components/report/templates/base.html.jinja",
        "runwright_pipelines/templates/compact.json",
    } <= names
    assert not any("__pycache__" in name or name.startswith("runwright_cli") for name in names)
    ours.place(tmp_path, project, {name: files[name] for name in ("runwright_components/__init__.py",)})
    found = PathDistribution(next((tmp_path / ours.SITE).glob("*.dist-info")))
    assert (found.name, found.version) == ("runwright", project.version)


@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        ("usr/lib/python3.11/json/decoder.py", False),
        ("usr/lib/python3.11/test/support/__init__.py", True),
        ("usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", False),
        ("usr/lib/python3.11/lib-dynload/readline.cpython-311-x86_64-linux-gnu.so", True),
        ("usr/lib/python3.11/lib-dynload/_testcapi.cpython-311-x86_64-linux-gnu.so", True),
        ("usr/share/zoneinfo/Europe/Berlin", False),
        ("usr/share/zoneinfo/right/Europe/Berlin", True),
        ("usr/share/man/man1/sh.1.gz", True),
    ],
)
def test_what_of_debians_files_is_left_out(name: str, *, unwanted: bool) -> None:
    assert (base.UNWANTED.match(name) is not None) == unwanted


def test_the_base_has_certificates_links_and_the_user_and_no_shell_for_it(tmp_path: Path) -> None:
    authorities = tmp_path / "usr/share/ca-certificates/mozilla"
    authorities.mkdir(parents=True)
    (authorities / "B.crt").write_text("second\n")
    (authorities / "A.crt").write_text("first\n\n")
    (tmp_path / "etc").mkdir()
    base.finish(tmp_path)
    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_text() == "first\nsecond\n"
    assert {(tmp_path / name).readlink().as_posix() for name in ("usr/bin/python", "usr/bin/python3")} == {"python3.11"}
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    assert "runwright:x:65532:65532:" in (tmp_path / "etc/passwd").read_text()
    assert "/sh\n" not in (tmp_path / "etc/passwd").read_text()
