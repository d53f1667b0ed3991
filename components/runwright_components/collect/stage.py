"""The collect stage: from sources to raw data with digests and lineage."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path

import polars as pl

from runwright_components.collect.class_folders import decode_text, verify_image, write_shards
from runwright_components.collect.files import SourceFile
from runwright_components.collect.joins import Joined, join
from runwright_components.collect.opening import Opened, open_source
from runwright_components.collect.read_before import INCREMENTAL, ReadBefore
from runwright_components.collect.reading_on import Kept
from runwright_components.collect.references import keep
from runwright_components.collect.sources import public_uri
from runwright_components.collect.tables import common_schema, write_table
from runwright_components.contract.artifacts import MANIFEST, Lineage, RawManifest, SourceRecord
from runwright_components.contract.config import CollectConfig, JoinConfig, Source
from runwright_components.contract.files import files_digest, new_folder
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.storage.reading import polars_disk_errors

DATA = "data"


def collect(config: CollectConfig, *, out: Path, progress: Progress, former: Path | None = None) -> RawManifest:
    """Read all sources in the given order into `out`: manifest.json and data/*.parquet.

    Rows keep the source's form (CSV: strings). Memory is bounded whatever the sources' size. `digest` depends on the
    content of the files and on what decides the rows, never on where the files lie.
    `former` is the raw data of the revision before, or what `left_for_the_next` named of it: of incremental sources
    only what is new is read then, and the rows are the same.
    Of an environment the rows are what was seen in episodes played by chance, and its files are kept beside them.
    Raises StageError for what a person can mend; then `out` does not exist and no temporary file is left.
    """
    if config.environment is not None:
        from runwright_components.collect.environment import play_by_chance

        return play_by_chance(config, config.environment, out=out, progress=progress)
    progress.emit("start", f"{len(config.sources)} source(s)")
    _refuse_repeated_names(config)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.scratch.") as scratch,
        new_folder(out) as folder,
        polars_disk_errors(out),
    ):
        numbers = count()

        def new_scratch() -> Path:
            return Path(scratch, f"{next(numbers)}")

        opened = _open_all(config, new_scratch, progress, former)
        manifest = _write(config, opened, folder, new_scratch, progress)
        manifest.write(folder, MANIFEST)
    progress.emit("done", f"{manifest.rows} rows, {len(manifest.columns)} columns", values={"rows": manifest.rows})
    return manifest


def left_for_the_next(out: Path) -> dict[str, Path]:
    """The files of raw data that the next revision reads incremental sources by; none where there are none."""
    if not (out / INCREMENTAL).is_file():
        return {}
    names = (INCREMENTAL, *(read.file for read in ReadBefore.read(out, INCREMENTAL).sources))
    return {name: out / name for name in names}


def _open_all(
    config: CollectConfig, new_scratch: Callable[[], Path], progress: Progress, former: Path | None
) -> list[Opened]:
    beside = config.beside
    whole = config.model_copy(update={"max_rows": None})

    def open_one(source: Source, former: Path | None) -> Opened:
        if source.incremental is not None and config.max_rows is None:
            from runwright_components.collect.incremental import open_incremental

            return open_incremental(source, config, new_scratch, progress, former)
        return open_source(source, whole if source.name in beside else config, new_scratch, progress)

    plain = {source.name: open_one(source, former) for source in config.sources if source.feedback is None}
    opened = [
        plain[source.name] if source.feedback is None else _open_feedback(source, plain, config, new_scratch, progress)
        for source in config.sources
    ]
    for place, one in enumerate(opened):
        if one.reading is None:
            continue
        alone = one.source.name in beside
        schema = _schema([one] if alone else [each for each in opened if each.source.name not in beside])
        if why := one.reading.unlike(schema):
            progress.warning(f"{one.source.name}: all is read again: {why}")
            opened[place] = open_one(one.source, None)
    return opened


def _open_feedback(
    source: Source,
    plain: Mapping[str, Opened],
    config: CollectConfig,
    new_scratch: Callable[[], Path],
    progress: Progress,
) -> Opened:
    from runwright_components.collect.feedback import open_feedback

    assert source.feedback is not None
    labels, table = plain[source.feedback.labels], new_scratch()
    write_table(labels.tables, _schema([labels]), table, source=labels.source, limit=None, on_bytes=lambda _size: None)
    return open_feedback(source, source.feedback, table, config, new_scratch, progress)


def _refuse_repeated_names(config: CollectConfig) -> None:
    names = [source.name for source in config.sources]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"two sources are named {repeated!r}",
            where="data.sources",
            cure="give each source a name of its own",
        )


def _write(
    config: CollectConfig, opened: list[Opened], folder: Path, new_scratch: Callable[[], Path], progress: Progress
) -> RawManifest:
    stacked = [one for one in opened if one.source.name not in config.beside]
    schema = _schema(stacked)
    total = sum(one.bytes for one in opened)
    done = 0

    def on_bytes(size: int) -> None:
        nonlocal done
        done += size
        progress.update(done, max(total, done), unit="bytes")

    (folder / DATA).mkdir()
    numbers = count()

    def new_shard() -> Path:
        return folder / DATA / f"{next(numbers):05}.parquet"

    kept = Kept(folder, apart=bool(config.beside))
    records: list[SourceRecord] = []
    left = config.max_rows
    for one in stacked:
        if left == 0:
            break
        record = _write_source(one, schema, new_shard, left, on_bytes, kept)
        left = None if left is None else left - record.rows
        records.append(record)
    rows = sum(record.rows for record in records)
    tables = {name: new_scratch() for name in config.beside}
    for name, table in tables.items():
        one = next(one for one in opened if one.source.name == name)
        records.append(_write_source(one, _schema([one]), partial(Path, table), None, on_bytes, kept))
    for rules in config.joins:
        found = _join(tables[rules.source], rules, folder / DATA, new_shard(), new_scratch())
        schema = found.columns
        if found.found < found.rows:
            missed = found.rows - found.found
            progress.warning(f"{missed:,} of {found.rows:,} rows find no row in source {rules.source}")
    kept.write()
    return RawManifest(
        digest=_digest(config, records),
        rows=rows,
        columns={name: str(kind) for name, kind in schema.items()},
        sources=tuple(records),
        files=tuple(sorted(path.relative_to(folder).as_posix() for path in (folder / DATA).iterdir())),
        references={each.source: keep(tables[each.source], each, folder) for each in config.references},
        lineage=Lineage(
            stage="collect",
            config=config.digest(),
            inputs={record.name: record.digest for record in records},
            version=version("runwright"),
        ),
    )


def _schema(opened: list[Opened]) -> dict[str, pl.DataType]:
    found: list[tuple[str, dict[str, pl.DataType]]] = []
    for one in opened:
        if one.format in ("images", "text"):
            value = {"image": pl.Binary()} if one.format == "images" else {"text": pl.String()}
            found.append((one.source.name, {**value, "label": pl.String(), "path": pl.String()}))
        many = len(one.tables) > 1
        for table in one.tables:
            place = f"{one.source.name}, {table.display}" if many else one.source.name
            found.append((place, dict(table.frame.collect_schema())))
    return common_schema(found)


def _write_source(
    one: Opened,
    schema: dict[str, pl.DataType],
    new_shard: Callable[[], Path],
    limit: int | None,
    on_bytes: Callable[[int], None],
    kept: Kept,
) -> SourceRecord:
    if one.tables:
        shard = new_shard()
        rows, digests = write_table(one.tables, schema, shard, source=one.source, limit=limit, on_bytes=on_bytes)
        if one.reading is not None:
            kept.add(one.source.name, one.reading, one.format, digests, shard, rows)
    else:
        images = one.format == "images"
        digests, rows = write_shards(
            one.files if limit is None else _spread(one.files, limit),
            column="image" if images else "text",
            read=verify_image if images else decode_text,
            new_shard=new_shard,
            on_bytes=on_bytes,
            where=one.source.name,
            in_pieces=not (images or one.source.labelled),  # documents; a labelled text is one example
        )
    one.check_unchanged()
    return SourceRecord(
        name=one.source.name,
        uri=public_uri(one.source),
        format=one.format,
        files=len(digests),
        bytes=one.bytes,
        rows=rows,
        digest=files_digest(digests),
    )


def _join(source: Path, rules: JoinConfig, data: Path, target: Path, scratch: Path) -> Joined:
    """Put the source's columns beside the rows of the shards in `data`, which `target`, another shard, replaces."""
    shards = sorted(data.iterdir())
    found = join(shards, source, rules, target, scratch)
    for shard in shards:
        shard.unlink()
    return found


def _spread(files: list[SourceFile], limit: int) -> list[SourceFile]:
    """`limit` files, as evenly over the class folders as can be: the first ones by name would be a single class."""
    classes: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        classes[file.name.split("/", 1)[0]].append(file)
    ranked = sorted((rank, file.name, file) for group in classes.values() for rank, file in enumerate(group))
    return sorted((file for _, _, file in ranked[:limit]), key=lambda file: file.name)


def _digest(config: CollectConfig, records: list[SourceRecord]) -> str:
    """Over the content and whatever decides which rows come of it; the order of the sources is the order of rows."""
    table = {"maxRows": str(config.max_rows)}
    if config.joins:
        table["joins"] = ",".join(rules.digest() for rules in config.joins)
    if config.references:
        table["references"] = ",".join(rules.digest() for rules in config.references)
    by_name = {source.name: source for source in config.sources}
    for index, record in enumerate(records):
        source = by_name[record.name]
        table[f"{index}:{record.format}"] = record.digest
        table[f"{index}:options"] = _options_digest(source, record.format)
    return files_digest(table)


def _options_digest(source: Source, kind: str) -> str:
    options = {"csv": source.csv, "excel": source.excel, "logs": source.logs, "feedback": source.feedback}.get(kind)
    return "" if options is None else options.digest()
