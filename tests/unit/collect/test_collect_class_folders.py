import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from runwright_components.collect import class_folders
from runwright_components.contract.outcome import Reason, StageError


def picture(kind: str = "PNG", size: int = 8, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(size).integers(0, 255, (size, size, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind)
    return content.getvalue()


def test_images_keep_their_bytes(workplace):
    files = {
        "cat/1.png": picture(),
        "cat/deeper/2.JPG": picture("JPEG"),
        "dog/3.bmp": picture("BMP"),
        "dog/4.gif": picture("GIF"),
        "dog/5.webp": picture("WEBP"),
        "dog/6.png": picture(mode="P"),
    }
    workplace.write({f"pets/{name}": content for name, content in files.items()})
    workplace.write({"pets/.DS_Store": b"x", "pets/LICENSE": b"x", "pets/cat/.hidden/9.png": b"x"})
    manifest = workplace.collect("pets")
    rows = workplace.rows(manifest)
    assert {row["path"]: row["image"] for row in rows} == files
    assert [row["path"] for row in rows] == sorted(files)
    assert [row["label"] for row in rows] == ["cat"] * 2 + ["dog"] * 4
    assert manifest.sources[0].format == "images"
    assert manifest.sources[0].files == 6
    assert any("LICENSE" in event.message for event in workplace.events if event.kind == "warning")


def test_bad_images_are_all_named(workplace):
    whole = picture(size=64)
    files = {
        "a/good.png": whole,
        "a/empty.png": b"",
        "a/cut.png": whole[:-40],
        "b/text.jpg": b"hello",
        "b/ok.png": whole,
    }
    workplace.write({f"x/{name}": content for name, content in files.items()})
    error = workplace.refusal("x")
    assert error.reason is Reason.DATA_UNREADABLE
    assert "3 of 5 image files" in error.message
    assert "empty.png: empty" in error.message
    assert "cut.png: corrupt" in error.message
    assert "text.jpg: not a PNG" in error.message
    assert "good.png" not in error.message


def test_ten_bad_images_are_named_and_the_rest_counted(workplace):
    workplace.write({f"x/a/{number:02}.png": b"junk" for number in range(13)})
    message = workplace.refusal("x").message
    assert "13 of 13" in message
    assert "09.png" in message
    assert "10.png" not in message
    assert "and 3 more" in message


@pytest.mark.parametrize("side", [9_000, 20_000])
def test_decompression_bomb(workplace, side):
    """A few kilobytes that would unpack to hundreds of megapixels are refused by their header."""
    content = io.BytesIO()
    Image.new("1", (side, side)).save(content, "PNG")
    workplace.write({"x/a/bomb.png": content.getvalue(), "x/b/1.png": picture()})
    message = workplace.refusal("x").message
    assert "bomb.png: too large" in message


def test_image_outside_a_class_folder(workplace):
    workplace.write({"x/1.png": picture(), "x/a/2.png": picture()})
    error = workplace.refusal("x")
    assert "1.png lies in no class folder" in error.message
    assert "FOLDER/LABEL/1.png" in error.cure


def test_shards_bound_the_memory(workplace, monkeypatch):
    monkeypatch.setattr(class_folders, "SHARD_BYTES", 1000)
    files = {f"x/{label}/{number}.png": picture(size=number + 1) for label in "ab" for number in range(12)}
    workplace.write(files)
    manifest = workplace.collect("x")
    assert len(manifest.files) > 2
    assert [f"x/{row['path']}" for row in workplace.rows(manifest)] == sorted(files)


def test_max_rows_takes_from_each_class(workplace):
    workplace.write({f"x/{label}/{number}.txt": label for label in ("neg", "pos") for number in range(10)})
    labels = [row["label"] for row in workplace.rows(workplace.collect("x", max_rows=4))]
    assert labels == ["neg", "neg", "pos", "pos"]


def test_texts(workplace):
    workplace.write({"x/pos/1.txt": "gut \u00e9\r\n", "x/neg/2.txt": "\ufeffbad", "x/README.txt": "about"})
    manifest = workplace.collect("x/*/*.txt")
    assert workplace.rows(manifest) == [
        {"text": "bad", "label": "neg", "path": "neg/2.txt"},
        {"text": "gut \u00e9\r\n", "label": "pos", "path": "pos/1.txt"},
    ]


def test_text_that_is_not_utf8(workplace):
    workplace.write({"x/pos/1.txt": b"good\ncaf\xe9", "x/neg/2.txt": b"bad"})
    assert "1.txt: line 2: byte 0xe9 is not UTF-8" in workplace.refusal("x").message


def test_http_gives_no_folder(workplace):
    assert workplace.refusal("http://127.0.0.1:9/x", format="images").reason is Reason.INVALID_CONFIG


@pytest.mark.parametrize("largest", [4, 7, 12, 1000])
def test_a_large_text_is_read_in_pieces_that_end_with_a_line(tmp_path, largest):
    text = "one\ntwo three\n\n" + "ü€𝄞" * 5 + "\nlast"
    (tmp_path / "big.txt").write_text(text, encoding="utf-8")
    with (tmp_path / "big.txt").open("rb") as file:
        pieces = list(class_folders.text_pieces(file, largest))
    assert max(map(len, pieces)) <= largest
    assert "".join(piece.decode() for piece in pieces) == text, "no character is cut in two"
    if largest == 12:
        assert pieces[0] == b"one\n"


def test_a_large_document_becomes_several_rows(tmp_path):
    (tmp_path / "big.txt").write_text("".join(f"line {number}\n" for number in range(100)))
    (tmp_path / "small.txt").write_text("short")
    files = [class_folders.SourceFile(name, tmp_path / name, name) for name in ("big.txt", "small.txt")]

    def write(in_pieces: bool) -> tuple[dict[str, str], int]:
        return class_folders.write_shards(
            files,
            column="text",
            read=class_folders.decode_text,
            new_shard=lambda: tmp_path / "shard.parquet",
            on_bytes=lambda _size: None,
            where="books",
            in_pieces=in_pieces,
            largest=300,
        )

    digests, rows = write(in_pieces=True)
    found = pl.read_parquet(tmp_path / "shard.parquet")
    assert (len(digests), rows, found.height) == (2, 4, 4)
    assert all(text.endswith("\n") and text.startswith("line ") for text in found["text"][:3])
    assert found["path"].to_list() == ["big.txt"] * 3 + ["small.txt"]
    with pytest.raises(StageError, match="too large: 790 bytes are more than 300"):
        write(in_pieces=False)


def test_the_line_of_a_bad_byte_counts_from_the_files_beginning(tmp_path):
    (tmp_path / "big.txt").write_bytes(b"good line\n" * 40 + b"bad \xff\n")
    with pytest.raises(StageError, match=r"big\.txt: line 41: byte 0xff is not UTF-8"):
        class_folders.write_shards(
            [class_folders.SourceFile("big.txt", tmp_path / "big.txt", "big.txt")],
            column="text",
            read=class_folders.decode_text,
            new_shard=lambda: tmp_path / "shard.parquet",
            on_bytes=lambda _size: None,
            where="books",
            in_pieces=True,
            largest=100,
        )
