"""`runwright cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runwright_cli.cluster.options import cluster_options, examples, name_argument

if TYPE_CHECKING:
    from runwright_cli.cluster.connection import Target


@click.command(epilog=examples("runwright cancel penguins", "runwright cancel penguins --revision 4"))
@name_argument
@click.option("--revision", type=click.IntRange(min=1), help="Default: the one that runs.")
@cluster_options
def cancel(name: str, revision: int | None, target: Target) -> int:
    """Stop the revision that is being made: its pipeline run is terminated, its training job deleted.

    What serves keeps serving. To start again, change the recipe or `runwright retrain`.
    """
    from runwright_api.names import ANNOTATION_CANCEL
    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.errors import ClusterError
    from runwright_cli.cluster.plan import LIVE
    from runwright_cli.cluster.reading import status_of
    from runwright_cli.cluster.rollback import revision_of

    cluster = Cluster.of(target)
    status = status_of(cluster.get(name))
    live = [item.number for item in status.revisions if item.state in LIVE]
    if revision is not None:
        chosen = revision_of(status, revision)
        if chosen.state not in LIVE:
            raise ClusterError(f"revision {revision} of {name} has ended: {chosen.state}", "there is nothing to cancel")
    elif not live:
        raise ClusterError(f"no revision of {name} is running", "`runwright history` shows them")
    number = revision if revision is not None else max(live)
    cluster.patch(name, {"metadata": {"annotations": {ANNOTATION_CANCEL: str(number)}}})
    serving = f"; revision {status.serving.revision} keeps serving" if status.serving else ""
    click.echo(f"revision {number} of {name} is being cancelled{serving}")
    return 0
