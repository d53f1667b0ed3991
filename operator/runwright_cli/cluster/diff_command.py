"""`runwright diff`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from runwright_cli.cluster.options import cluster_options, examples, file_argument
from runwright_cli.options import changes_option

if TYPE_CHECKING:
    from runwright_cli.cluster.connection import Target

DIFFERENT = 1
TROUBLE = 2


class DiffCommand(click.Command):
    """Exit code 1 means "different" here, so that errors are 2, as in diff(1) and `kubectl diff`."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            error.show()
            raise click.exceptions.Exit(TROUBLE) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 (as in main: a person gets a message)
            from runwright_cli.failures import explain

            click.echo(explain(error), err=True)
            return TROUBLE


@click.command(
    cls=DiffCommand,
    epilog=examples("runwright diff run.yaml", "runwright diff run.yaml --set spec.train.epochs=3 -n team-a"),
)
@file_argument
@changes_option
@click.option("-o", "--output", type=click.Choice(("text", "json", "yaml")), default="text", help="Form of the answer.")
@cluster_options
def diff(file: str, changes: tuple[str, ...], output: str, target: Target) -> int:
    """Compare a TrainingRun file with the cluster, and say what applying it would do: train, judge again, redeploy,
    go back to an earlier revision, or nothing.

    It changes nothing: the API server is asked by a dry run.

    Exit code 0: no change. 1: changes. 2: an error.
    """
    from rich.console import Console

    from runwright_cli.cluster import applying
    from runwright_cli.cluster.output import emit
    from runwright_cli.cluster.plan import as_json

    question = applying.asked(file, changes, target)
    expected = applying.expect(question)
    if output != "text":
        emit({**as_json(expected.plan), "notes": list(expected.notes)}, output)
    else:
        console = Console(file=sys.stdout, highlight=False)
        applying.print_changes(console, expected.plan.changes)
        applying.print_plan(console, expected)
    return DIFFERENT if expected.plan.changed else 0
