"""`runwright report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from runwright_pipelines.workspace import Workspace


@click.command()
@click.argument("place", required=False, metavar="[FILE|DIR]")
@click.option("--open", "open_", is_flag=True, help="Show it in the browser.")
def report(place: str | None, open_: bool) -> None:
    """Draw the report of the last run again, and print where it is.

    FILE is the TrainingRun, DIR its workspace or the folder of the file. Default: here.
    """
    from runwright_cli.files import find_workspace
    from runwright_pipelines.workspace import Workspace

    workspace = Workspace(find_workspace(place))
    page = draw(workspace)
    click.echo(page)
    if open_:
        click.launch(page.as_uri())


def draw(workspace: Workspace) -> Path:
    """Write the report from the artifacts of the newest run. Raises StageError when it was not evaluated."""
    from runwright_components.contract.files import write_bytes
    from runwright_components.contract.outcome import Reason, StageError

    evaluation, model, prepared = (workspace.artifact(name) for name in ("evaluation", "model", "prepared_data"))
    if evaluation is None or model is None or prepared is None:
        raise StageError(
            Reason.DATA_INVALID,
            "this run was not evaluated yet, so there is nothing to report",
            where=str(workspace.root),
            cure="run it to its end with `runwright run`",
        )
    from runwright_components.report import report_page

    html = report_page(run_name=workspace.root.name, prepared=prepared, model=model, evaluation=evaluation)
    return write_bytes(workspace.report, html.encode())
