"""Third-party packages: what is left out, what is read from metadata, what a layer's key is made of."""

from pathlib import Path

import pytest

from images import cuda, packages
from images.base import SITE
from images.table import IMAGES

REQUIREMENTS = Path(__file__).parents[3] / "requirements"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("torch/nn/modules/linear.py", True),
        ("jinja2/tests.py", True),
        ("torch/testing/__init__.py", True),
        ("numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so", True),
        ("numpy-2.4.6.dist-info/METADATA", True),
        ("numpy-2.4.6.dist-info/licenses/LICENSE.txt", True),
        ("pydantic/py.typed", True),
        ("numpy-2.4.6.dist-info/RECORD", False),
        ("numpy-2.4.6.dist-info/INSTALLER", False),
        ("bin/torchrun", False),
        ("pandas/tests/io/test_sql.py", False),
        ("tests/conftest.py", False),
        ("torch/include/ATen/ATen.h", False),
        ("torch/_C/__init__.pyi", False),
        ("numpy/_core/lib/libnpymath.a", False),
        ("setuptools/__init__.py", False),
        ("distutils-precedence.pth", False),
        ("grpc_tools/protoc.py", False),
    ],
)
def test_what_only_developers_of_a_package_need_is_left_out(path: str, *, kept: bool) -> None:
    assert (packages.UNWANTED.match(path) is None) == kept


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("torch/lib/libtorch_cpu.so", False),
        ("torch/lib/libtorch_cuda.so", False),
        ("torch/lib/libtorch_cuda_linalg.so", True),
        ("nvidia/cu13/lib/libcudart.so.13", False),
        ("nvidia/cu13/lib/libcupti.so.13", False),
        ("nvidia_cuda_runtime-13.2.86.dist-info/METADATA", False),
        ("nvidia/cu13/lib/libcublas.so.13", True),
        ("nvidia_cublas-13.4.1.3.dist-info/METADATA", True),
        ("triton/language/core.py", True),
        ("triton-3.9.0.dist-info/METADATA", True),
    ],
)
def test_each_file_belongs_to_one_layer_with_or_without_cuda(path: str, *, part: bool) -> None:
    assert (cuda.PARTS.match(path) is not None) == part
    assert (cuda.OTHERS.match(path) is not None) != part


def test_pruning_removes_files_and_the_folders_left_empty(tmp_path: Path) -> None:
    site = tmp_path / SITE
    for name in ("a/__init__.py", "a/tests/deep/test_a.py", "bin/a"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    packages.prune(tmp_path, packages.UNWANTED)
    assert sorted(path.relative_to(site).as_posix() for path in site.rglob("*")) == ["a", "a/__init__.py"]


def test_parts_are_told_by_the_distributions_own_metadata(tmp_path: Path) -> None:
    for name, lines in {
        "Foo_Bar": "License-Expression: MIT OR Apache-2.0\nLicense: something else",
        "plain": "License: BSD-3-Clause",
        "classified": "License: a very\n  long text\nClassifier: License :: OSI Approved :: MIT License",
        "silent": "Summary: says nothing of its licence",
    }.items():
        about = tmp_path / SITE / f"{name}-1.0.dist-info/METADATA"
        about.parent.mkdir(parents=True)
        about.write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{lines}\n")
    told = {part.name: (part.purl, part.licences) for part in packages.parts(tmp_path)}
    assert told == {
        "classified": ("pkg:pypi/classified@1.0", ("MIT License",)),
        "foo-bar": ("pkg:pypi/foo-bar@1.0", ("MIT OR Apache-2.0",)),
        "plain": ("pkg:pypi/plain@1.0", ("BSD-3-Clause",)),
        "silent": ("pkg:pypi/silent@1.0", ()),
    }


def test_comments_in_the_requirements_decide_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("a==1 \\\n    --hash=sha256:00\n    # via b\n")
    other.write_text("# pinned\na==1 \\\n    --hash=sha256:00\n")
    assert packages.sources(one) == packages.sources(other)
    other.write_text("a==2 \\\n    --hash=sha256:00\n")
    assert packages.sources(one) != packages.sources(other)


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_requirements_of_an_image_are_pinned_and_hold_torch_where_cuda_is_spoken_of(image) -> None:
    text = (REQUIREMENTS / image.requirements).read_text()
    assert "--hash=sha256:" in text
    assert ("\ntorch==" in text) == (image.cuda != "none")
    if "runwright_components" in image.ours and image.name != "operator":
        assert "\nobstore==" in text, "whatever runs components reads from object storage"
