import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest

from runwright_components.collect import collect, fingerprint
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, CsvOptions, Source
from runwright_components.contract.files import file_digest, files_digest
from runwright_components.contract.outcome import ExitCode, Reason
from runwright_components.contract.progress import silent


def test_manifest_says_what_was_read(workplace):
    workplace.write({"x/1.csv": "a,b\n1,2\n", "x/2.csv": "b,a\n4,3\n", "x/README.md": "about"})
    config = workplace.config("x")
    manifest = collect(config, out=workplace.out, progress=silent())
    assert RawManifest.read(workplace.out) == manifest
    assert workplace.rows(manifest) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    (source,) = manifest.sources
    digests = {name: file_digest(workplace.sources / "x" / name) for name in ("1.csv", "2.csv")}
    assert source.digest == files_digest(digests)
    assert (source.name, source.uri, source.format, source.files, source.rows) == ("source-0", "x", "csv", 2, 2)
    assert manifest.lineage.stage == "collect"
    assert manifest.lineage.config == config.digest()
    assert manifest.lineage.inputs == {"source-0": source.digest}
    assert {path.name for path in workplace.out.iterdir()} == {"manifest.json", "data"}
    assert [path.name for path in workplace.out.parent.iterdir()] == ["raw"]


def test_digest_depends_on_content_and_options_not_on_the_place(workplace):
    workplace.write(
        {"here/a.csv": "a,b\n1,2\n3,4\n", "there/a.csv": "a,b\n1,2\n3,4\n", "other/a.csv": "a,b\n1,2\n3,5\n"}
    )

    def digest(uri, **options):
        workplace.out = workplace.out.with_name(f"raw-{len(list(workplace.sources.parent.rglob('raw*')))}")
        return workplace.collect(uri, **options).digest

    same = digest("here")
    assert digest("there") == same
    assert digest("other") != same
    assert digest("here", max_rows=1) != same
    assert digest("here", csv=CsvOptions(header=False)) != same


def test_several_sources_are_one_table(workplace):
    parquet = workplace.sources / "c.parquet"
    workplace.write({"a.csv": "a,b\n1,x\n", "b.jsonl": '{"b":"y","a":2.5}\n'})
    pl.DataFrame({"a": [3], "b": ["z"]}).write_parquet(parquet)
    manifest = workplace.collect("a.csv", "b.jsonl", "c.parquet")
    assert workplace.rows(manifest) == [{"a": "1", "b": "x"}, {"a": "2.5", "b": "y"}, {"a": "3", "b": "z"}]
    assert [source.rows for source in manifest.sources] == [1, 1, 1]


def test_numbers_of_several_types_become_the_wider(workplace):
    pl.DataFrame({"a": pl.Series([1], dtype=pl.Int32)}).write_parquet(workplace.sources / "a.parquet")
    pl.DataFrame({"a": [2.5]}).write_parquet(workplace.sources / "b.parquet")
    manifest = workplace.collect("a.parquet", "b.parquet")
    assert manifest.columns == {"a": "Float64"}
    assert workplace.rows(manifest) == [{"a": 1.0}, {"a": 2.5}]


def test_other_columns_are_refused_by_name(workplace):
    workplace.write({"a.csv": "a,b\n1,2\n", "b.csv": "a,c,d\n1,2,3\n"})
    error = workplace.refusal("a.csv", "b.csv")
    assert error.where == "source-1"
    assert "those of source-0: lacks 'b' and adds 'c', 'd'" in error.message


def test_two_sources_of_one_name(workplace):
    workplace.write({"a.csv": "a\n1\n"})
    source = Source(name="same", uri="a.csv")
    config = CollectConfig(sources=(source, source), base=str(workplace.sources))
    with pytest.raises(Exception, match="'same'"):
        collect(config, out=workplace.out, progress=silent())


def test_max_rows_over_sources(workplace):
    workplace.write({"a.csv": "a\n1\n2\n", "b.csv": "a\n3\n4\n", "c.csv": "a\n5\n"})
    manifest = workplace.collect("a.csv", "b.csv", "c.csv", max_rows=3)
    assert [row["a"] for row in workplace.rows(manifest)] == ["1", "2", "3"]
    assert [source.rows for source in manifest.sources] == [2, 1]


def test_parquet_keeps_its_types(workplace):
    frame = pl.DataFrame({"a": [1, None], "b": ["x", None], "c": [float("nan"), 2.0], "d": [True, None]})
    frame.write_parquet(workplace.sources / "a.parquet")
    manifest = workplace.collect("a.parquet")
    assert manifest.columns == {"a": "Int64", "b": "String", "c": "Float64", "d": "Boolean"}
    assert pl.read_parquet(workplace.out / manifest.files[0]).equals(frame)


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_truncated_parquet(workplace, keep):
    path = workplace.sources / "a.parquet"
    pl.DataFrame({"a": range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    error = workplace.refusal("a.parquet")
    assert error.reason is Reason.DATA_UNREADABLE
    assert error.where.endswith("a.parquet")
    assert "Parquet" in error.message


def test_corrupt_page_of_parquet(workplace):
    path = workplace.sources / "a.parquet"
    pl.DataFrame({"a": [f"text {number}" for number in range(5000)]}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    assert workplace.refusal("a.parquet").reason is Reason.DATA_UNREADABLE


def test_missing_file_proposes_a_sibling(workplace):
    workplace.write({"penguins.csv": "a\n1\n"})
    error = workplace.refusal("pengiuns.csv")
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert error.cure == "did you mean 'penguins.csv'?"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nowhere/a.csv", "does not exist"),
        ("*.parquet", "no file matches"),
        ("empty", "no file under"),
        ("ftp://host/a.csv", "ftp:// is no kind of source"),
        ("mixed", "several formats: csv, parquet"),
        ("a.xyz", "no known extension"),
    ],
)
def test_refuses_what_is_not_there_or_unknown(workplace, uri, message):
    workplace.write({"a.xyz": "a\n1\n", "mixed/a.csv": "a\n1\n", "mixed/b.parquet": "x"})
    (workplace.sources / "empty").mkdir()
    assert message in workplace.refusal(uri).message


def test_names_with_glob_characters_are_plain_names_when_they_exist(workplace):
    workplace.write({"a[1]*.csv": "a\n1\n", "b[x]/c.csv": "a\n2\n"})
    assert workplace.collect("a[1]*.csv").rows == 1
    workplace.out = workplace.out.with_name("second")
    assert workplace.collect(f"file://{workplace.sources}/b[[]x]/*.csv").rows == 1


def test_fingerprint_sees_changes_without_reading(workplace):
    workplace.write({"x/a.csv": "a\n1\n"})
    config = workplace.config("x")
    first = fingerprint(config)
    assert fingerprint(config) == first
    assert fingerprint(workplace.config("x", max_rows=1)) != first
    workplace.write({"x/b.csv": "a\n2\n"})
    second = fingerprint(config)
    assert second != first
    os.utime(workplace.sources / "x" / "a.csv", ns=(1, 1))
    assert fingerprint(config) != second


# Rights and limits of a process cannot be taken back, so these run in one of their own. It prints the error as JSON
# and what is left beside `out`.
_CHILD = """
import json, os, resource, sys
from pathlib import Path
from runwright_components.collect import collect
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import silent

root, uri, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
(root / "out").mkdir(mode=0o777)
(root / "out").chmod(0o777)
if how == "rights" and os.geteuid() == 0:
    os.setuid(65534)
if how == "disk":
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
config = CollectConfig(sources=(Source(name="s", uri=uri),), base=str(root))
try:
    collect(config, out=root / "out" / "raw", progress=silent())
except StageError as error:
    print(json.dumps({**error.as_dict(), "exit": error.exit_code, "left": os.listdir(root / "out")}))
"""


def _in_child(root: Path, uri: str, how: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", _CHILD, root, uri, how], capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("locked", ["a.csv", "x"])
def test_no_permission(locked):
    with tempfile.TemporaryDirectory() as folder:  # tmp_path's parents are closed to other users
        root = Path(folder)
        (root / "x").mkdir()
        (root / "a.csv").write_text("a\n1\n")
        (root / "x" / "b.csv").write_text("a\n1\n")
        root.chmod(0o755)
        (root / locked).chmod(0)
        error = _in_child(root, locked, "rights")
        (root / locked).chmod(0o700)
    assert error["reason"] == Reason.SOURCE_DENIED
    assert "no permission" in str(error["message"])
    assert "chmod" in str(error["cure"])
    assert error["left"] == []


@pytest.mark.parametrize("name", ["a.csv", "a.json", "x", "latin.csv"])
def test_disk_full(tmp_path, name):
    """A limit of the file size stands for the full disk: both end a write with an error of the system."""
    lines = "".join(f"{number},{number * 7919 % 10007},text {number * 31 % 9973}\n" for number in range(40_000))
    (tmp_path / "a.csv").write_text("a,b,c\n" + lines)
    (tmp_path / "latin.csv").write_text("a,b,c\n" + lines)
    rows = [{"a": number, "b": f"text {number * 31 % 9973}"} for number in range(10_000)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for label in ("pos", "neg"):
        (tmp_path / "x" / label).mkdir(parents=True)
        (tmp_path / "x" / label / "1.txt").write_text(" ".join(str(n * 7919 % 100_003) for n in range(40_000)))
    error = _in_child(tmp_path, name, "disk")
    assert error["reason"] == Reason.STORAGE_FULL
    assert error["exit"] == ExitCode.TRANSIENT
    assert error["left"] == []
