"""Folders of texts that no class sorts."""

from pathlib import Path

import polars as pl
import pytest

from runwright_components.collect import collect
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import silent


def rows(uri: Path, out: Path, *, labelled: bool = False) -> list[tuple[str, str, str]]:
    source = Source(name="books", uri=str(uri), labelled=labelled)
    manifest = collect(CollectConfig(sources=(source,)), out=out, progress=silent())
    return pl.read_parquet([out / name for name in manifest.files]).select("path", "label", "text").rows()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    (folder / "novels" / "long").mkdir(parents=True)
    (folder / "one.txt").write_text("One.")
    (folder / "novels" / "two.txt").write_text("Two.")
    (folder / "novels" / "long" / "three.txt").write_text("Three.")
    return folder


def test_texts_lie_anywhere(books: Path, tmp_path: Path) -> None:
    assert rows(books, tmp_path / "out") == [
        ("novels/long/three.txt", "novels", "Three."),
        ("novels/two.txt", "novels", "Two."),
        ("one.txt", "", "One."),
    ]


def test_one_file_is_a_document(books: Path, tmp_path: Path) -> None:
    assert rows(books / "one.txt", tmp_path / "out") == [("one.txt", "", "One.")]


def test_where_folders_are_the_labels_a_file_outside_them_is_refused(books: Path, tmp_path: Path) -> None:
    source = Source(name="books", uri=str(books), format="text")
    with pytest.raises(StageError, match="lies in no class folder"):
        collect(CollectConfig(sources=(source,)), out=tmp_path / "out", progress=silent())
