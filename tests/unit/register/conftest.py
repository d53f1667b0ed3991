from collections.abc import Callable
from pathlib import Path

import pytest

from runwright_components.contract.artifacts import PackageManifest
from runwright_components.contract.files import files_digest, folder_files

MakePackage = Callable[..., Path]


@pytest.fixture
def make_package(tmp_path: Path) -> MakePackage:
    """`make_package("content")` gives the folder of a package of a few files, written the first time."""

    def make(content: str = "weights", size: int = 1) -> Path:
        folder = tmp_path / f"package-{content}"
        if folder.exists():
            return folder
        (folder / "preprocessing").mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(content.encode() * size)
        (folder / "preprocessing" / "state.json").write_text("{}")
        (folder / "empty").write_bytes(b"")
        files = folder_files(folder)
        PackageManifest(
            digest=files_digest(files),
            name="penguins",
            model_digest="sha256:" + content,
            task="classification",
            modality="tabular",
            files=files,
        ).write(folder)
        return folder

    return make
