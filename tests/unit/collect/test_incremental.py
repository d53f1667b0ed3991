"""Only what is new is read, and the rows are those of a full read: files in folders and in object storage."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from werkzeug.serving import WSGIRequestHandler

from runwright_components.collect import collect, left_for_the_next
from runwright_components.collect.read_before import INCREMENTAL
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, IncrementalConfig, JoinConfig, Source
from runwright_components.contract.outcome import Reason
from runwright_components.contract.progress import Event, Progress
from tests.unit.collect.conftest import Workplace

DAYS = {f"days/2026-01-{day:02}.csv": f"id,x\n{day}0,a\n{day}1,b\n" for day in range(1, 6)}


class Revisions:
    """Reads a source again and again, each time on from the time before, and compares with a full read."""

    def __init__(self, workplace: Workplace, config: CollectConfig) -> None:
        self.workplace, self.config = workplace, config
        self.events: list[Event] = []
        self.number = 0
        self.former: Path | None = None

    def collect(self, config: CollectConfig, former: Path | None) -> RawManifest:
        self.number += 1
        self.out = self.workplace.out.with_name(f"raw-{self.number}")
        self.events.clear()
        return collect(config, out=self.out, progress=Progress("collect", self.events.append), former=former)

    def rows(self, manifest: RawManifest) -> pl.DataFrame:
        return pl.concat([pl.read_parquet(self.out / name, glob=False) for name in manifest.files])

    def next(self) -> str:
        """The next revision, which must have the rows, the order and the digest of a full read; what it said."""
        full = self.collect(self.config, None)
        expected = self.rows(full)
        read = self.collect(self.config, self.former)
        assert self.rows(read).equals(expected, null_equal=True)
        assert self.rows(read).schema == expected.schema
        assert read.digest == full.digest
        self.former = self.out
        return " ".join(event.message for event in self.events if event.kind in ("note", "warning"))


def incremental(workplace: Workplace, uri: str, **options: Any) -> Revisions:
    return Revisions(workplace, workplace.config(uri, incremental=IncrementalConfig(), **options))


def test_new_files_come_to_those_that_were_read(workplace: Workplace) -> None:
    workplace.write({name: DAYS[name] for name in list(DAYS)[1:4]})
    revisions = incremental(workplace, "days")
    assert revisions.next() == ""
    assert revisions.next() == "source-0: 0 of 3 files are new"
    workplace.write(DAYS)  # one before and one after those that were read
    for name in list(DAYS)[1:4]:
        (workplace.sources / name).touch()
    assert "changed" in revisions.next()


def test_files_that_sort_between_the_others_take_their_place(workplace: Workplace) -> None:
    names = list(DAYS)
    workplace.write({names[1]: DAYS[names[1]], names[3]: DAYS[names[3]]})
    revisions = incremental(workplace, "days")
    revisions.next()
    for number in (0, 2, 4):
        workplace.write({names[number]: DAYS[names[number]]})
        assert revisions.next() == f"source-0: 1 of {3 + number // 2} files are new"
    read = json.loads((revisions.former / INCREMENTAL).read_text())["sources"][0]
    assert [piece["rows"] for piece in read["pieces"]] == [2] * 5


@pytest.mark.parametrize("change", ["gone", "settings", "torn", "broken", "format"])
def test_what_cannot_be_gone_on_from_is_read_again(workplace: Workplace, change: str) -> None:
    workplace.write(DAYS)
    revisions = incremental(workplace, "days")
    revisions.next()
    assert revisions.former is not None
    said = {"gone": "2026-01-03.csv is gone", "settings": "settings", "torn": "not whole", "broken": INCREMENTAL}
    if change == "gone":
        (workplace.sources / "days/2026-01-03.csv").unlink()
    elif change == "settings":
        revisions.config = workplace.config("days", incremental=IncrementalConfig(), csv={"quote": "'"})
    elif change == "torn":
        pl.DataFrame({"id": ["1"], "x": ["a"]}).write_parquet(revisions.former / "data/00000.parquet")
    elif change == "broken":
        (revisions.former / INCREMENTAL).write_text("{}x")
    else:
        for name in DAYS:
            (workplace.sources / name).unlink()
        workplace.write({"days/a.jsonl": '{"id": 1, "x": "a"}\n'})
        said[change] = "its format is jsonl"
    told = revisions.next()
    assert told.startswith("source-0: all is read again: ")
    assert said[change] in told


def test_a_wider_type_reads_all_again(workplace: Workplace) -> None:
    """The whole numbers of the first file would have become 1.0 before they became text."""
    workplace.write({"a.jsonl": '{"x": 1}\n', "b.jsonl": '{"x": 1.5}\n'})
    revisions = incremental(workplace, "*.jsonl")
    revisions.next()
    workplace.write({"c.jsonl": '{"x": 2}\n'})
    assert "1 of 3" in revisions.next()
    workplace.write({"d.jsonl": '{"x": "two"}\n'})
    assert "all is read again: column 'x' is String now, and was kept as Float64" in revisions.next()
    assert revisions.former is not None
    assert pl.read_parquet(revisions.former / "data/00000.parquet")["x"].to_list() == ["1", "1.5", "2", "two"]


def test_of_several_sources_each_goes_on_for_itself(workplace: Workplace) -> None:
    workplace.write({**DAYS, "more/1.csv": "id,x\n7,c\n", "names/1.csv": "x,name\na,Ann\nb,Bo\n"})
    sources = tuple(
        Source(name=name, uri=name, incremental=None if name == "more" else IncrementalConfig())
        for name in ("days", "more", "names")
    )
    joins = (JoinConfig(source="names", left=("x",), right=("x",)),)
    revisions = Revisions(workplace, CollectConfig(sources=sources, base=str(workplace.sources), joins=joins))
    revisions.next()
    workplace.write({"days/2026-02-01.csv": "id,x\n90,c\n", "names/2.csv": "x,name\nc,Cy\n"})
    told = revisions.next()
    assert "days: 1 of 6 files are new" in told
    assert "names: 1 of 2 files are new" in told
    assert revisions.former is not None
    assert sorted(left_for_the_next(revisions.former)) == [
        "incremental.json",
        "incremental/00000.parquet",
        "incremental/00001.parquet",
    ]


def test_archives_and_a_limit_are_read_whole(workplace: Workplace) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "id,x\n1,a\n")
    workplace.write({"z/a.zip": packed.getvalue(), "days/1.csv.gz": gzip.compress(b"id,x\n1,a\n")})
    revisions = incremental(workplace, "z")
    assert "archives are read whole each time" in revisions.next()
    assert left_for_the_next(revisions.out) == {}
    limited = incremental(workplace, "days", max_rows=1)
    limited.number = revisions.number
    limited.next()
    assert left_for_the_next(limited.out) == {}


def test_images_and_pages_are_not_read_incrementally(workplace: Workplace, web: Any) -> None:
    workplace.write({"cats/1.png": b""})
    images = workplace.refusal(".", incremental=IncrementalConfig())
    assert images.reason is Reason.UNSUPPORTED
    assert "images" in images.message
    page = workplace.refusal(web.serve("/a.csv", b"a\n1\n"), incremental=IncrementalConfig())
    assert "http:// is read whole each time" in page.message


# ---------------------------------------------------------------- object storage


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The GETs that reach the S3 server."""
    seen: list[str] = []

    def log(handler: WSGIRequestHandler, *_: object) -> None:
        if handler.command == "GET":
            seen.append(handler.path)

    monkeypatch.setattr(WSGIRequestHandler, "log_request", log)
    return seen


def test_only_new_objects_are_downloaded(workplace: Workplace, object_storage: Any, asked: list[str]) -> None:
    for day in range(10):
        object_storage.put(f"days/{day:02}.csv", DAYS["days/2026-01-01.csv"].encode())
    revisions = incremental(workplace, f"{object_storage.uri}/days/", endpoint=object_storage.endpoint)
    revisions.next()
    assert len([path for path in asked if ".csv" in path]) == 20, "both readings of this revision"
    object_storage.put("days/10.csv", b"id,x\n1,y\n")
    revisions.next()
    asked.clear()
    object_storage.put("days/11.csv", b"id,x\n1,y\n")
    manifest = revisions.collect(revisions.config, revisions.former)
    assert [path for path in asked if ".csv" in path] == [f"/{object_storage.bucket}/days/11.csv"]
    assert (manifest.rows, manifest.sources[0].files) == (22, 12)
    object_storage.put("days/10.csv", b"id,x\n2,y\n")
    assert "10.csv changed" in revisions.next()
