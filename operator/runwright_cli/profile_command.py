"""`runwright profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runwright_components.profile.document import Profile

_WIDEST = 28  # characters of a name


@click.command()
@click.argument("data", metavar="FILE")
@click.option("--target", help="The column to predict. Default: found out.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures here.")
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the section here, not to stdout.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
def profile(data: str, target: str | None, html: Path | None, write: Path | None, force: bool) -> int:
    """Look at a table and propose how to prepare it.

    FILE is a file of CSV, JSON, Parquet or another format of tables. All rows are read. The proposal is the `prepare`
    section of a TrainingRun, each line with its reason; what depends on what the data mean is a comment.
    """
    from runwright_cli.proposing import render
    from runwright_components.contract.files import write_bytes
    from runwright_components.contract.outcome import Reason, StageError

    for out in (html, write):
        if out is not None and out.exists() and not force:
            raise StageError(
                Reason.INVALID_CONFIG,
                "this file is there already",
                where=str(out),
                cure="choose another name, or --force",
            )
    found = look(Path(data), target)
    click.echo(_table(found), err=True)
    section = render(found, data)
    if write is None:
        click.echo(section, nl=False)
    else:
        click.echo(f"wrote {write_bytes(write, section.encode())}", err=True)
    if html is not None:
        from runwright_components.report import profile_page

        click.echo(f"wrote {write_bytes(html, profile_page(found, section).encode())}", err=True)
    return 0


def look(path: Path, target: str | None) -> Profile:
    """The profile of a table. Raises StageError for what is none."""
    import tempfile

    import polars

    from runwright_api.spec.train import TrainSpec
    from runwright_cli.guessing import LOOKED_AT, folder_of, of_rows
    from runwright_components.collect import collect
    from runwright_components.contract.config import CollectConfig, Source
    from runwright_components.contract.outcome import Reason, StageError
    from runwright_components.contract.progress import silent
    from runwright_components.profile.survey import survey

    if (kind := folder_of(path)) is not None:
        raise StageError(
            Reason.INVALID_CONFIG,
            f"these are {kind}, not a table",
            where=str(path),
            cure="`runwright init` looks at folders of images and texts",
        )
    source = Source(name="data", uri=str(path.absolute()))
    with tempfile.TemporaryDirectory(prefix="runwright-profile-") as folder:
        raw = Path(folder) / "raw"
        manifest = collect(CollectConfig(sources=(source,)), out=raw, progress=silent("profile"))
        first = polars.scan_parquet([raw / file for file in manifest.files]).head(LOOKED_AT).collect()
        found = of_rows(first, path, target, None)
        task = TrainSpec(task=found.task).kind if found.target else "clustering"
        return survey(raw, name=path.name, target=found.target, task=task)


def _table(found: Profile) -> str:
    """A line a column, for the terminal."""
    width = min(_WIDEST, max(len(column.name) for column in found.columns))
    lines = [f"{found.rows:,} rows, {len(found.columns)} columns, {found.duplicates.found:,} repeated rows"]
    for column in found.columns:
        before = column.before
        distinct = "" if before.distinct is None else f"{before.distinct:,} distinct"
        gaps = f"{before.missing / before.rows:.1%} missing" if before.missing else ""
        kind = "unused" if column.role == "ignored" else column.type
        said = "; ".join(finding.note for finding in found.findings if finding.column == column.name)
        lines.append(f"  {column.name[:width]:<{width}}  {kind:<11}  {gaps:<13}  {distinct:<16}  {said}".rstrip())
    return "\n".join(lines)
