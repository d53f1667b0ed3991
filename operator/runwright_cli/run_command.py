"""`runwright run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runwright_cli.main import FAILED, INTERRUPTED, REJECTED
from runwright_cli.options import changes_option, layout_option

if TYPE_CHECKING:
    from rich.console import Console

    from runwright_cli.files import RunFile
    from runwright_pipelines.local import Result


@click.command()
@click.argument("file")
@click.option("--workspace", type=click.Path(path_type=Path), help="Work here. Default: .runwright/NAME beside FILE.")
@layout_option
@changes_option
@click.option("--resume", is_flag=True, help="Go on where a run was killed, from the checkpoints of its training.")
@click.option("--no-cache", is_flag=True, help="Run every stage, also where nothing changed.")
@click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict.")
def run(
    file: str,
    workspace: Path | None,
    layout: str | None,
    changes: tuple[str, ...],
    resume: bool,
    no_cache: bool,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Run a TrainingRun on this machine: collect, prepare, train, evaluate, package, register, deploy.

    It is the pipeline that a cluster runs, through KFP's local runner. Stages whose inputs did not change are not run
    again.

    Exit code 0: the model passed the gate and is published. 2: the gate rejected it, nothing is published. 1: failed.
    """
    from rich.console import Console

    from runwright_cli import summary
    from runwright_cli.files import read
    from runwright_cli.local_notes import ignored_here
    from runwright_cli.own_code import check_code

    found = read(file, changes)
    check_code(found, None if changes else file)
    place = (workspace or found.workspace).absolute()
    console = Console(file=sys.stdout, highlight=False)
    ignored = ignored_here(found.run)
    if ignored and not quiet:
        console.print(f"note: only a cluster uses {', '.join('spec.' + path for path in ignored)}", markup=False)
    if dry_run:
        summary.print_plan(console, found, place, layout)
        return 0
    result = _execute(found, place, layout, console, resume=resume, use_cache=not no_cache, quiet=quiet)
    if result.cancelled and not result.finished:
        console.print(f"cancelled. To go on: runwright run {file} --resume", markup=False, soft_wrap=True)
        return INTERRUPTED
    if not result.finished:
        summary.print_failure(Console(stderr=True, highlight=False), result)
        return FAILED
    summary.print_verdict(console, result)
    return REJECTED if result.rejected else 0


def _execute(
    found: RunFile,
    workspace: Path,
    layout: str | None,
    console: Console,
    *,
    resume: bool,
    use_cache: bool,
    quiet: bool,
) -> Result:
    from runwright_cli.view import view_for

    with view_for(console, quiet=quiet) as view:
        from runwright_pipelines import local
        from runwright_pipelines.compiling import compile

        settings = local.Settings(
            workspace=workspace,
            base=found.base,
            run_name=found.run.metadata.name,
            resume=resume,
            use_cache=use_cache,
        )
        return local.run(compile(found.run, layout=layout), settings, view.take)  # type: ignore[arg-type]
