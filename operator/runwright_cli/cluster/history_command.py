"""`runwright history`."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import TYPE_CHECKING

import click

from runwright_cli.cluster.options import cluster_options, examples, name_argument

if TYPE_CHECKING:
    from runwright_cli.cluster.connection import Target


WIDE = 240


@click.command(epilog=examples("runwright history penguins", "runwright history penguins --revision 3 -o yaml"))
@name_argument
@click.option("--revision", type=click.IntRange(min=1), help="Show this one in detail.")
@click.option("-o", "--output", type=click.Choice(("text", "json", "yaml")), default="text", help="Form of the answer.")
@cluster_options
def history(name: str, revision: int | None, output: str, target: Target) -> int:
    """List the revisions of a TrainingRun: what they are, how good, and which one serves.

    `*` marks the revision that serves, `>` the one that the spec asks for.
    """
    from datetime import datetime

    from rich.console import Console
    from rich.text import Text

    from runwright_cli.cluster import history as past
    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.output import emit
    from runwright_cli.cluster.reading import run_of, status_of
    from runwright_cli.cluster.rollback import revision_of

    content = Cluster.of(target).get(name)
    status = status_of(content)
    chosen = None if revision is None else revision_of(status, revision)
    if output != "text":
        every = [past.as_json(status, item) for item in past.newest_first(status)]
        emit(past.as_json(status, chosen) if chosen else every, output)
        return 0
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = WIDE  # a row is a line, for grep and awk
    if chosen:
        for what, text in past.details(status, chosen):
            if text:
                console.print(Text(f"{what:<10}{text}"), soft_wrap=True)
    elif status.revisions:
        console.print(past.table(status, run_of(content).spec.evaluate.gate, datetime.now(UTC)))
    else:
        console.print(f"{name} has no revision yet: runwright watch {name}", markup=False)
    return 0
