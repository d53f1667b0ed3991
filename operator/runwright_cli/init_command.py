"""`runwright init`."""

from __future__ import annotations

from pathlib import Path

import click

from runwright_api.spec.model import Task
from runwright_cli.starts import STARTS


@click.command()
@click.argument("data", metavar="DATA")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here. Default: NAME.yaml.")
@click.option("--target", help="The column to predict. Default: found out.")
@click.option("--task", type=click.Choice(tuple(STARTS)), metavar="TASK", help="What to learn. Default: found out.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(data: str, output: Path | None, target: str | None, task: Task | None, force: bool) -> int:
    """Look at DATA and write a TrainingRun.

    DATA is a file of CSV, JSON or Parquet, a folder whose sub-folders are classes, a folder of texts, or, with --task
    environment-control, an environment of Gymnasium or a Python file with one.

    What it found out and why stands in the file, as comments. The file runs as it is.
    """
    from runwright_api.loading import load
    from runwright_cli.guessing import guess
    from runwright_cli.starter import render, run_name
    from runwright_components.contract.files import write_bytes
    from runwright_components.contract.outcome import Reason, StageError

    path = Path(data)
    name = run_name(path)
    out = output or Path(f"{name}.yaml")
    if out.exists() and not force:
        raise StageError(
            Reason.INVALID_CONFIG,
            "this file is there already",
            where=str(out),
            cure="choose another with -o, or --force",
        )
    found = guess(path, target, task)
    text = render(name, path, out.absolute().parent, found)
    load(text, file=str(out))  # what is written is valid, or nothing is
    write_bytes(out, text.encode())
    click.echo(f"{found.task}: {found.rows_said}")
    for reason in found.reasons:
        click.echo(f"  {reason}")
    click.echo(f"wrote {out}\nnext    runwright run {out}")
    return 0
