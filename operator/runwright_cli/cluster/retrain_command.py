"""`runwright retrain`."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import TYPE_CHECKING

import click

from runwright_cli.cluster.options import cluster_options, examples, name_argument, timeout_option, wait_option

if TYPE_CHECKING:
    from runwright_cli.cluster.connection import Target


@click.command(epilog=examples("runwright retrain penguins", "runwright retrain penguins --wait --timeout 2h"))
@name_argument
@wait_option
@timeout_option
@cluster_options
def retrain(name: str, wait: bool, timeout: float | None, target: Target) -> int:
    """Train the same recipe anew, say on data that grew. The spec stays as it is, so that GitOps tools leave it alone.

    Exit code 0: asked for; with --wait: Ready. 2: the gate rejected the model. 1: failed. 124: not ready within
    --timeout.
    """
    from datetime import datetime

    from rich.console import Console

    from runwright_api.names import ANNOTATION_RETRAIN
    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.errors import ClusterError
    from runwright_cli.cluster.plan import LIVE, newest, next_number
    from runwright_cli.cluster.reading import status_of
    from runwright_cli.cluster.stages import Wanted
    from runwright_cli.cluster.watching import watch

    cluster = Cluster.of(target)
    content = cluster.get(name)
    status = status_of(content)
    current = newest(status)
    suspended = bool((content.get("spec") or {}).get("suspend"))
    if current is None:
        raise ClusterError(f"{name} has no revision yet, so there is nothing to train again", f"runwright watch {name}")
    if suspended and wait:
        raise ClusterError(f"{name} is suspended, so nothing starts", "set spec.suspend to false, or leave out --wait")
    number = next_number(status)
    token = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    stored = cluster.patch(name, {"metadata": {"annotations": {ANNOTATION_RETRAIN: token}}})
    when = " once it is no longer suspended" if suspended else ""
    click.echo(f"revision {number} of {name} trains{when}")
    if current.state in LIVE:
        click.echo(f"revision {current.number}, which still runs, is cancelled")
    if not wait:
        click.echo(f"follow it: runwright watch {name} -n {cluster.namespace}")
        return 0
    wanted = Wanted(generation=int(stored["metadata"].get("generation", 0)), after=number - 1)
    return watch(cluster, name, Console(file=sys.stdout, highlight=False), wanted=wanted, seconds=timeout)
