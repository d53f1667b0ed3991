"""What can be told from data about the run that they are for: the task, the target, and columns that say nothing.

Looks at the first rows, read by the collect stage itself, so that what `init` understands `run` understands too.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runwright_api.spec.model import Task
from runwright_components.contract.artifacts import RawManifest
from runwright_components.contract.config import CollectConfig, Source
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.storage.reading import reading

if TYPE_CHECKING:
    import polars

LOOKED_AT = 5000  # rows
MOST_CLASSES = 20  # more different numbers are a quantity, not classes
LONG_TEXT = 40  # characters on average; longer is prose, shorter a category
NUMBERS = 0.95  # share of values that read as numbers, in a numeric column
TARGET_NAMES = ("target", "label", "class", "y", "outcome", "species", "category", "churn", "price", "sentiment")
IDENTIFIER = re.compile(r"(^|[\s_-])(id|uuid|key|index|number)$|^(id|uuid)([\s_-]|$)", re.IGNORECASE)
# 2026-01-31, 2026-01-31T12:00, 31.1.2026
STAMP = r"^(\d{4}[-/.]\d{1,2}([-/.]\d{1,2}([T ]\d{1,2}:\d{2}.*)?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*)$"
MISSING = ("", "na", "n/a", "nan", "null", "none", "missing", "unknown", "?", "-", ".")

PROMPTS = ("prompt", "instruction", "question")
RESPONSES = ("response", "completion", "output", "answer")


@dataclass(frozen=True)
class Guess:
    """What was found out; `reasons` say from what. `ignored` are columns with the reason to leave each out."""

    task: Task
    target: str
    rows: int
    complete: bool  # whether `rows` are all there are
    reasons: tuple[str, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    stratified: bool = True
    image: tuple[int, int, int] | None = None  # height, width, channels
    format: Literal["images", "text"] | None = None
    pieces: tuple[tuple[str, str], ...] = ()  # columns of prompt and response, or messages, of text-generation
    time: str | None = None  # of a series
    by: tuple[str, ...] = ()  # tells series apart

    @property
    def rows_said(self) -> str:
        return f"{self.rows:,} rows" if self.complete else f"the first {self.rows:,} rows were looked at"


def guess(path: Path, target: str | None, task: Task | None = None) -> Guess:
    """Find out what `path` holds, for `task` where the user names one. Raises StageError when it cannot be read, has no
    column `target`, or does not suit the task."""
    if task == "environment-control":
        return _of_environment(path)
    kind = folder_of(path)
    corpus = kind is None and (path.suffix == ".txt" or (path.is_dir() and any(path.glob("**/*.txt"))))
    with tempfile.TemporaryDirectory(prefix="runwright-init-") as folder:
        out = Path(folder) / "raw"
        form: Literal["images", "text"] | None = "text" if corpus else kind
        source = Source(name="data", uri=str(path.absolute()), format=form, labelled=not corpus)
        from runwright_components.collect import collect

        config = CollectConfig(sources=(source,), max_rows=None if kind else LOOKED_AT)
        manifest: RawManifest = collect(config, out=out, progress=silent("init"))
        import polars

        rows = polars.read_parquet([out / file for file in manifest.files])
    if corpus:
        found = _of_corpus(rows, "the texts have no labels", format="text")
    elif kind:
        found = _of_class_folders(rows, kind)
    else:
        found = of_rows(rows, path, target, task)
    if task not in (None, found.task):
        raise StageError(
            Reason.INVALID_CONFIG,
            f"these data look like {found.task}, not {task}",
            where=str(path),
            cure=f"leave --task out, or give data that suit {task}",
        )
    return found


def of_rows(rows: polars.DataFrame, path: Path, target: str | None, task: Task | None) -> Guess:
    """Of a table, in the way of the task that the user named, or by what it looks like."""
    if task is None or task == "text-generation":
        pieces = _pieces(rows.columns)
        if pieces:
            return _of_corpus(rows, f"the columns are called {', '.join(name for _, name in pieces)}", pieces=pieces)
        if rows.width == 1 and (task or _prose(rows, "")):
            return _of_corpus(rows, f"{rows.columns[0]!r} is the only column", text=rows.columns[0])
    if task == "series-forecasting":
        return _of_series(rows, path, target)
    if task in ("tabular-anomaly", "tabular-clustering", "tabular-embedding"):
        return _without_target(rows, path, target, task)
    found = _of_table(rows, path, target)
    if task in ("tabular-classification", "tabular-regression") and found.task.startswith("tabular"):
        reasons = (found.reasons[0], f"the task is {task}, as you said")
        return replace(found, task=task, reasons=reasons, stratified=found.stratified and task != "tabular-regression")
    return found


def _of_environment(path: Path) -> Guess:
    """An environment's class is the last of its file, by its name; of a registered one nothing need be known."""
    name = ""
    if path.suffix == ".py":
        with reading(str(path)):
            classes = re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if not classes:
            raise StageError(
                Reason.DATA_INVALID,
                "there is no class in this file",
                where=str(path),
                cure="name a file with a subclass of gymnasium.Env, or an environment that Gymnasium knows",
            )
        name = classes[-1]
    return Guess("environment-control", name, 0, True, ())


def _pieces(columns: Sequence[str]) -> tuple[tuple[str, str], ...]:
    by_name = {name.strip().lower(): name for name in columns}
    if "messages" in by_name:
        return (("messages", by_name["messages"]),)
    prompt = next((by_name[name] for name in PROMPTS if name in by_name), None)
    response = next((by_name[name] for name in RESPONSES if name in by_name), None)
    return (("prompt", prompt), ("response", response)) if prompt and response else ()


def _of_corpus(rows: polars.DataFrame, why: str, **fields: Any) -> Guess:
    reasons = (f"{why}, so a language model learns from them",)
    complete = rows.height < LOOKED_AT
    return Guess("text-generation", "", rows.height, complete, reasons, stratified=False, **fields)


def _without_target(rows: polars.DataFrame, path: Path, target: str | None, task: Task) -> Guess:
    """`target`, where the user names one, judges what is found without it."""
    chosen, why = _target(rows.columns, path, target) if target else ("", "")
    reasons = (f"{why}; it judges the model, which does not see it",) if chosen else ("there is no target",)
    ignored = tuple(_useless(rows, {chosen}))
    complete = rows.height < LOOKED_AT
    return Guess(task, chosen, rows.height, complete, reasons, ignored, stratified=False)


def _of_series(rows: polars.DataFrame, path: Path, target: str | None) -> Guess:
    time = next((column.name for column in rows if _is_time(column)), None)
    if time is None:
        raise StageError(
            Reason.DATA_INVALID,
            "no column holds time stamps",
            where=str(path),
            cure="a series needs a column of dates or times, such as 2026-01-31 or 2026-01-31T12:00:00",
        )
    numbers = [column.name for column in rows if column.name != time and _is_numeric(column)]
    chosen, why = _target(rows.columns if target else numbers or rows.columns, path, target)
    repeated = rows[time].n_unique() < rows.height
    words = [column for column in rows if column.name not in (time, chosen) and column.name not in numbers]
    by = tuple(column.name for column in words if column.n_unique() <= rows.height / 4) if repeated else ()
    reasons = (why, f"{time!r} holds the times" + (f", and {', '.join(by)} tell the series apart" if by else ""))
    return Guess("series-forecasting", chosen, rows.height, rows.height < LOOKED_AT, reasons, time=time, by=by)


def _is_time(column: polars.Series) -> bool:
    import polars

    if column.dtype.is_temporal():
        return True
    if column.dtype != polars.String:
        return False
    values = _values(column)
    return values.len() > 0 and int(values.str.contains(STAMP).sum()) >= NUMBERS * values.len()


def folder_of(path: Path) -> Literal["images", "text"] | None:
    """What class folders hold, by their files' extensions; None for anything else."""
    if not path.is_dir() or not any(child.is_dir() for child in path.iterdir()):
        return None
    suffixes = {file.suffix.lower() for file in path.glob("*/*") if file.is_file()}
    if suffixes & {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}:
        return "images"
    return "text" if ".txt" in suffixes else None


def _of_class_folders(rows: polars.DataFrame, kind: Literal["images", "text"]) -> Guess:
    classes = rows["label"].n_unique()
    reason = f"folders are the classes: {classes} of them"
    if kind == "text":
        return Guess("text-classification", "label", rows.height, True, (reason,), text="text", format=kind)
    image = _image_size(rows["image"].to_list()[:50])
    size = f"images become {image[0]} x {image[1]}, {'grey' if image[2] == 1 else 'colour'}, like most of them"
    return Guess("image-classification", "label", rows.height, True, (reason, size), image=image, format=kind)


def _image_size(files: Sequence[bytes]) -> tuple[int, int, int]:
    import io

    from PIL import Image

    heights, widths, grey = [], [], True
    for content in files:
        with Image.open(io.BytesIO(content)) as image:
            widths.append(image.width)
            heights.append(image.height)
            grey = grey and image.mode in ("1", "L", "LA", "I;16")
    return _middle(heights), _middle(widths), 1 if grey else 3


def _middle(sizes: list[int]) -> int:
    middle = sorted(sizes)[len(sizes) // 2]
    return min(max(8 * round(middle / 8), 16), 224)


def _of_table(rows: polars.DataFrame, path: Path, target: str | None) -> Guess:
    chosen, why = _target(rows.columns, path, target)
    text = _prose(rows, chosen)
    ignored = tuple(_useless(rows, {chosen, text or ""}))
    used = [name for name in rows.columns if name not in {chosen, *(name for name, _ in ignored)}]
    numeric, distinct = _is_numeric(rows[chosen]), rows[chosen].n_unique()
    complete = rows.height < LOOKED_AT
    if text is not None and used == [text] and numeric and distinct > MOST_CLASSES:
        reasons = (why, f"{text!r} is prose and the only input, and {chosen!r} has {distinct:,} different numbers")
        return Guess("text-regression", chosen, rows.height, complete, reasons, ignored, stratified=False, text=text)
    if text is not None and used == [text]:
        reasons = (why, f"{text!r} is prose and the only input, so the task is text")
        return Guess("text-classification", chosen, rows.height, complete, reasons, ignored, text=text)
    if text is not None:
        ignored = (*ignored, (text, "prose, which a tabular model cannot read"))
    if numeric and distinct > MOST_CLASSES:
        reasons = (why, f"{chosen!r} has {distinct:,} different numbers, so the task is regression")
        return Guess("tabular-regression", chosen, rows.height, complete, reasons, ignored, stratified=False)
    reasons = (why, f"{chosen!r} has {distinct:,} different values, so the task is classification")
    rare = rows[chosen].drop_nulls().value_counts()["count"].min()
    stratified = isinstance(rare, int) and rare >= 3  # one row of each class in each split
    return Guess("tabular-classification", chosen, rows.height, complete, reasons, ignored, stratified=stratified)


def _target(columns: Sequence[str], path: Path, target: str | None) -> tuple[str, str]:
    if target is not None:
        if target not in columns:
            from difflib import get_close_matches

            near = get_close_matches(target, columns, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise StageError(
                Reason.DATA_INVALID,
                f"there is no column {target!r}",
                where=str(path),
                cure=f"{hint}the columns are {', '.join(columns[:20])}",
            )
        return target, f"the target is {target!r}, as you said"
    by_name = {name.strip().lower(): name for name in columns}
    for name in TARGET_NAMES:
        if name in by_name:
            return by_name[name], f"the target is {by_name[name]!r}, by its name; --target chooses another"
    return columns[-1], f"the target is {columns[-1]!r}, the last column; --target chooses another"


def _values(column: polars.Series) -> polars.Series:
    import polars

    text = column.drop_nulls().cast(polars.String, strict=False).str.strip_chars()
    return text.filter(~text.str.to_lowercase().is_in(list(MISSING)))


def _is_numeric(column: polars.Series) -> bool:
    import polars

    if column.dtype.is_numeric():
        return True
    values = _values(column)
    readable = values.cast(polars.Float64, strict=False).drop_nulls().len()
    return values.len() > 0 and readable >= NUMBERS * values.len()


def _prose(rows: polars.DataFrame, target: str) -> str | None:
    """The text column with the longest values, when they are long and mostly different."""
    import polars

    longest, found = float(LONG_TEXT), None
    for column in rows:
        if column.name == target or column.dtype != polars.String:
            continue
        values = _values(column)
        length = values.str.len_chars().mean()
        if isinstance(length, float) and length > longest and values.n_unique() > rows.height / 4:
            longest, found = length, column.name
    return found


def _useless(rows: polars.DataFrame, kept: set[str]) -> list[tuple[str, str]]:
    found = []
    for column in rows:
        if column.name in kept or column.dtype.is_nested():
            continue
        values = _values(column)
        distinct = values.n_unique()
        if distinct <= 1:
            found.append((column.name, "it has no more than one value"))
        elif IDENTIFIER.search(column.name) and distinct > values.len() / 2:
            found.append((column.name, "by its name and its different values it identifies rows"))
        elif distinct == rows.height and not _is_numeric(column) and rows.height > MOST_CLASSES:
            found.append((column.name, "every row has another text"))
    return found
