"""`runwright export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runwright_components.export import Form


@click.command()
@click.argument("place", required=False, metavar="[FILE|DIR]")
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A folder that is not there yet.")
@click.option(
    "--form",
    type=click.Choice(["source", "prepared"]),
    default="source",
    show_default=True,
    help="The source's columns of the rows that were kept, or the columns that the model is given.",
)
def export(place: str | None, folder: Path, form: Form) -> None:
    """Write the splits of the last run as a Hugging Face dataset, which `datasets.load_from_disk` opens.

    FILE is the TrainingRun, DIR its workspace or the folder of the file. Default: here.
    """
    from runwright_cli.files import find_workspace
    from runwright_components.contract.outcome import Reason, StageError
    from runwright_components.export import export as write
    from runwright_pipelines.workspace import Workspace

    workspace = Workspace(find_workspace(place))
    prepared = workspace.artifact("prepared_data")
    if prepared is None:
        raise StageError(
            Reason.DATA_INVALID,
            "this run has prepared no data yet",
            where=str(workspace.root),
            cure="run it with `runwright run`",
        )
    counts = write(prepared, workspace.artifact("raw_data"), folder, form)
    click.echo(", ".join(f"{split}: {rows:,} rows" for split, rows in counts.items()))
    click.echo(f"open it: datasets.load_from_disk({str(folder)!r})")
