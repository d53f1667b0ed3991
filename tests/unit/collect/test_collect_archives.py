"""Archives read like folders, and what is refused of them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from runwright_components.collect import limits
from runwright_components.contract.outcome import Reason

CSV = "a,b\n1,x\n"
ROW = {"a": "1", "b": "x"}


def zipped(files, change=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if change:
                change(info)
            archive.writestr(info, content)
    return out.getvalue()


def tarred(files, change=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            info.size = len(content)
            if change:
                change(info)
            archive.addfile(info, io.BytesIO(content) if info.isfile() else None)
    return out.getvalue()


MAKE = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tar.gz": lambda *given: gzip.compress(tarred(*given)),
    "a.tgz": lambda *given: gzip.compress(tarred(*given)),
    "a.tar.bz2": lambda *given: bz2.compress(tarred(*given)),
    "a.tar.xz": lambda *given: lzma.compress(tarred(*given)),
    "download": zipped,
    "download.gz": lambda *given: gzip.compress(tarred(*given)),
}


@pytest.mark.parametrize("name", MAKE)
def test_members_are_read_like_a_folder(workplace, name):
    files = [("x/1.csv", CSV), ("./x/2.csv", CSV), (".DS_Store", b"\0"), ("__MACOSX/x/._1.csv", b"\0"), ("x.md", "")]
    workplace.write({name: MAKE[name](files)})
    manifest = workplace.collect(name)
    assert workplace.rows(manifest) == [ROW, ROW]
    assert manifest.sources[0].files == 2
    assert list(workplace.out.parent.iterdir()) == [workplace.out]


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_class_folders_in_an_archive(workplace, name):
    files = [("set-1.0/pos/1.txt", "good"), ("set-1.0/neg/2.txt", "bad"), ("set-1.0/neg/3.txt", "worse")]
    workplace.write({name: MAKE[name](files)})
    rows = workplace.rows(workplace.collect(name))
    assert [(row["label"], row["path"]) for row in rows] == [
        ("neg", "neg/2.txt"),
        ("neg", "neg/3.txt"),
        ("pos", "pos/1.txt"),
    ]


def test_an_archive_a_class(workplace):
    workplace.write({"x/pos.zip": zipped([("1.txt", "good")]), "x/neg.tgz": MAKE["a.tgz"]([("1.txt", "bad")])})
    rows = workplace.rows(workplace.collect("x"))
    assert [(row["text"], row["label"]) for row in rows] == [("bad", "neg"), ("good", "pos")]


def test_compressed_members_and_plain_files_beside(workplace):
    workplace.write({"x/a.zip": zipped([("1.csv.gz", gzip.compress(CSV.encode()))]), "x/b.csv": CSV})
    assert workplace.rows(workplace.collect("x")) == [ROW, ROW]


def test_errors_name_the_member(workplace):
    workplace.write({"a.zip": zipped([("x/1.csv", CSV), ("x/2.csv", "a,b\n1\n")])})
    assert workplace.refusal("a.zip").where.endswith("a.zip: x/2.csv, line 2")


def encrypted(info):
    info.flag_bits |= 1


def link_of_zip(info):
    info.external_attr = 0o120777 << 16


def kind(letter):
    def change(info):
        info.type = letter
        info.linkname = "/etc/passwd"
        info.size = 0

    return change


@pytest.mark.parametrize(
    ("name", "files", "change", "message"),
    [
        ("a.zip", [("/etc/a.csv", CSV)], None, "absolute path"),
        ("a.zip", [("C:\\a.csv", CSV)], None, "absolute path"),
        ("a.tar", [("/etc/a.csv", CSV)], None, "absolute path"),
        ("a.zip", [("x/../../a.csv", CSV)], None, "leads out of"),
        ("a.zip", [("x\\..\\..\\a.csv", CSV)], None, "leads out of"),
        ("a.tar.gz", [("../a.csv", CSV)], None, "leads out of"),
        ("a.zip", [("a.csv", "/etc/passwd")], link_of_zip, "a link or a device"),
        ("a.tar", [("a.csv", "")], kind(tarfile.SYMTYPE), "a link, a device"),
        ("a.tar", [("a.csv", "")], kind(tarfile.LNKTYPE), "a link, a device"),
        ("a.tar", [("a.csv", "")], kind(tarfile.CHRTYPE), "a link, a device"),
        ("a.tar.xz", [("a.csv", "")], kind(tarfile.FIFOTYPE), "a link, a device"),
        ("a.tar", [("a.csv", CSV), ("a.csv", CSV)], None, "'a.csv' is there twice"),
        ("a.zip", [("b.zip", zipped([("a.csv", CSV)]))], None, "an archive inside an archive"),
        ("a.zip", [("b.csv", zipped([("a.csv", CSV)]))], None, "an archive inside an archive"),
        ("a.tar", [("b.csv.gz", gzip.compress(tarred([("a.csv", CSV)])))], None, "an archive inside an archive"),
        ("a.tar", [(b"\xff.csv".decode("utf-8", "surrogateescape"), CSV)], None, "is not UTF-8"),
    ],
)
def test_what_is_dangerous_is_refused(workplace, name, files, change, message):
    workplace.write({name: MAKE[name](files, change)})
    error = workplace.refusal(name)
    assert error.reason is Reason.DATA_INVALID
    assert message in error.message
    assert error.where.endswith(name)


def test_an_encrypted_zip(workplace):
    content = bytearray(zipped([("a.csv", CSV)]))
    content[content.index(b"PK\x01\x02") + 8] |= 1  # zipfile writes none: its flag in the directory
    workplace.write({"a.zip": bytes(content)})
    error = workplace.refusal("a.zip")
    assert "encrypted" in error.message
    assert "decrypt it before" in error.cure


@pytest.mark.parametrize("name", MAKE)
def test_bombs(workplace, monkeypatch, name):
    if name == "a.tar":
        return  # as long as what it holds
    monkeypatch.setattr(limits, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(limits, "MAX_RATIO", 100)
    workplace.write({name: MAKE[name]([("a.csv", "a\n" + "0" * (4 << 20))])})
    error = workplace.refusal(name)
    assert "100 times as many bytes" in error.message
    assert name in error.where


def test_bombs_are_counted_over_members_and_what_is_in_them(workplace, monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXPANDED", 10_000)
    member = gzip.compress(b"a\n" + b"1\n" * 2000)
    workplace.write({"a.zip": zipped([(f"{n}.csv.gz", member) for n in range(5)])})
    assert "more than 10,000 bytes" in workplace.refusal("a.zip").message


def test_too_many_members(workplace, monkeypatch):
    monkeypatch.setattr(limits, "MAX_MEMBERS", 3)
    workplace.write({"a.zip": zipped([(f"{n}.csv", CSV) for n in range(4)])})
    assert "more than 3 members" in workplace.refusal("a.zip").message


def test_a_tar_header_that_asks_for_memory(workplace):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    workplace.write({"a.tar": header.tobuf(tarfile.GNU_FORMAT) + bytes(10240)})
    assert "too large" in workplace.refusal("a.tar").message


@pytest.mark.parametrize("name", [name for name in MAKE if name.startswith("a.")])
@pytest.mark.parametrize("keep", [10, 0.5, 0.9])
def test_cut_archives(workplace, name, keep):
    rows = "".join(f"{n},{n * 7919}\n" for n in range(3000))
    content = MAKE[name]([("1.csv", "a,b\n" + rows), ("2.csv", "a,b\n" + rows)])
    workplace.write({name: content[: int(len(content) * keep) if isinstance(keep, float) else keep]})
    error = workplace.refusal(name)
    assert error.reason is Reason.DATA_UNREADABLE
    assert "not a whole" in error.message


def test_a_tar_that_ends_between_two_members(workplace):
    content = tarred([("1.csv", "a\n" + "1\n" * 300), ("2.csv", "a\n2\n")])
    workplace.write({"a.tar": content[: 512 + 1024]})
    assert "it has no end" in workplace.refusal("a.tar").message


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_names_of_other_scripts(workplace, name):
    workplace.write({name: MAKE[name]([("数据/表.csv", CSV), ("בדיקה/🦜👩‍👩‍👧.csv", CSV)])})
    assert workplace.collect(name).rows == 2
