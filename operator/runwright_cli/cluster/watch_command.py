"""`runwright watch`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from runwright_cli.cluster.options import cluster_options, examples, name_argument, timeout_option

if TYPE_CHECKING:
    from runwright_cli.cluster.connection import Target


@click.command(epilog=examples("runwright watch penguins", "runwright watch penguins --timeout 1h -n team-a"))
@name_argument
@click.option("--forever", is_flag=True, help="Go on after it is Ready or has failed.")
@timeout_option
@cluster_options
def watch(name: str, forever: bool, timeout: float | None, target: Target) -> int:
    """Show the progress of a TrainingRun, until it is Ready or has failed.

    Exit code 0: Ready. 2: the gate rejected the model. 1: failed. 124: not ready within --timeout.
    """
    from rich.console import Console

    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.stages import Wanted
    from runwright_cli.cluster.watching import watch as follow

    cluster = Cluster.of(target)
    content = cluster.get(name)
    wanted = None if forever else Wanted(generation=int(content["metadata"].get("generation", 0)))
    return follow(cluster, name, Console(file=sys.stdout, highlight=False), wanted=wanted, seconds=timeout)
