"""Compressed files: what they give, and what is said of broken ones and of bombs."""

import bz2
import gzip
import lzma

import polars as pl
import pytest
import zstandard

from runwright_components.collect import limits
from runwright_components.contract.files import file_digest, files_digest
from runwright_components.contract.outcome import Reason


def zstd(content):
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


PACK = {".gz": gzip.compress, ".zst": zstd, ".bz2": bz2.compress, ".xz": lzma.compress}
CSV = b"a,b\n1,x\n2,y\n"
ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


@pytest.mark.parametrize("suffix", PACK)
def test_reads_by_the_suffix(workplace, suffix):
    workplace.write({f"x/1.csv{suffix}": PACK[suffix](CSV), f"x/2.csv{suffix}": PACK[suffix](CSV)})
    manifest = workplace.collect("x")
    assert workplace.rows(manifest) == ROWS * 2
    packed = {path.name: file_digest(path) for path in (workplace.sources / "x").iterdir()}
    assert manifest.sources[0].digest == files_digest(packed)
    assert list(workplace.out.parent.iterdir()) == [workplace.out]


@pytest.mark.parametrize("suffix", PACK)
def test_the_content_decides_not_the_name(workplace, suffix):
    workplace.write({"a.csv": PACK[suffix](CSV), "b": PACK[suffix](CSV), f"c.csv{suffix}": CSV})
    for name in ("a.csv", "b", f"c.csv{suffix}"):
        workplace.out = workplace.out.with_name(f"raw-{name}")
        assert workplace.rows(workplace.collect(name, format="csv")) == ROWS


@pytest.mark.parametrize("suffix", PACK)
def test_several_streams_in_one_file(workplace, suffix):
    workplace.write({f"a.csv{suffix}": PACK[suffix](CSV[:4]) + PACK[suffix](CSV[4:])})
    assert workplace.rows(workplace.collect(f"a.csv{suffix}")) == ROWS


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("keep", [-1, -9, 0.5])
def test_a_cut_file(workplace, suffix, keep):
    packed = PACK[suffix](b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(2000)))
    workplace.write({f"a.csv{suffix}": packed[: int(len(packed) * keep) if isinstance(keep, float) else keep]})
    error = workplace.refusal(f"a.csv{suffix}")
    assert error.reason is Reason.DATA_UNREADABLE
    assert "not a whole" in error.message
    assert "copy it again" in error.cure


@pytest.mark.parametrize("suffix", PACK)
def test_a_corrupt_file(workplace, suffix):
    packed = bytearray(PACK[suffix](b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(2000))))
    packed[len(packed) // 2] ^= 0xFF
    packed[len(packed) // 2 + 1] ^= 0xFF
    workplace.write({f"a.csv{suffix}": bytes(packed)})
    assert workplace.refusal(f"a.csv{suffix}").reason is Reason.DATA_UNREADABLE


@pytest.mark.parametrize("suffix", PACK)
def test_a_bomb_by_its_ratio(workplace, monkeypatch, suffix):
    monkeypatch.setattr(limits, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(limits, "MAX_RATIO", 100)
    workplace.write({f"a.csv{suffix}": PACK[suffix](b"a\n" + b"0" * (4 << 20))})
    error = workplace.refusal(f"a.csv{suffix}")
    assert error.reason is Reason.DATA_INVALID
    assert "100 times as many bytes" in error.message
    assert "decompress it before" in error.cure


@pytest.mark.parametrize("suffix", PACK)
def test_a_limit_of_all_that_comes_out(workplace, monkeypatch, suffix):
    monkeypatch.setattr(limits, "MAX_EXPANDED", 100)
    workplace.write({f"x/{n}.csv{suffix}": PACK[suffix](b"a\n" + b"1\n" * 20) for n in range(3)})
    assert "more than 100 bytes" in workplace.refusal("x").message


def test_xz_that_asks_for_much_memory(workplace, monkeypatch):
    monkeypatch.setattr("runwright_components.collect.compressed._XZ_MEMORY", 1 << 20)
    workplace.write({"a.csv.xz": lzma.compress(CSV, preset=6)})
    assert "emory" in workplace.refusal("a.csv.xz").message


def test_text_that_begins_like_bz2_is_text(workplace):
    workplace.write({"a.csv": "BZhead,b\n1,2\n"})
    assert workplace.rows(workplace.collect("a.csv")) == [{"BZhead": "1", "b": "2"}]


def test_binary_formats_and_texts(workplace):
    frame = pl.DataFrame({"a": [1, 2]})
    frame.write_parquet(workplace.sources / "a.parquet")
    frame.write_avro(workplace.sources / "a.avro")
    for name in ("a.parquet", "a.avro"):
        workplace.write({f"{name}.zst": zstd((workplace.sources / name).read_bytes())})
        workplace.out = workplace.out.with_name(name)
        assert workplace.rows(workplace.collect(f"{name}.zst")) == frame.to_dicts()
    workplace.write({"t/pos/1.txt.gz": gzip.compress(b"good"), "t/neg/2.txt": "bad"})
    workplace.out = workplace.out.with_name("texts")
    rows = workplace.rows(workplace.collect("t"))
    assert [(row["text"], row["label"]) for row in rows] == [("bad", "neg"), ("good", "pos")]
