"""`runwright rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runwright_cli.cluster.options import cluster_options, examples, name_argument, timeout_option, wait_option

if TYPE_CHECKING:
    from runwright_api.status import TrainingRunStatus
    from runwright_cli.cluster.connection import Target


@click.command(epilog=examples("runwright rollback penguins", "runwright rollback penguins --to 3 --wait"))
@name_argument
@click.option("--to", "number", type=click.IntRange(min=1), metavar="N", help="Default: the one that served before.")
@click.option("--unpin", is_flag=True, help="Let the newest revision that passed the gate serve again.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@wait_option
@timeout_option
@cluster_options
def rollback(
    name: str, number: int | None, unpin: bool, dry_run: bool, wait: bool, timeout: float | None, target: Target
) -> int:
    """Serve an earlier revision again, without training: sets spec.deploy.revision.

    New revisions are still made, and do not serve until `--unpin`. Where git is the source of truth, revert there
    instead: a recipe that was trained before is served again without training.
    """
    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.reading import gitops, status_of
    from runwright_cli.cluster.rollback import pin

    if unpin and number is not None:
        raise click.UsageError("--unpin and --to exclude each other")
    cluster = Cluster.of(target)
    content = cluster.get(name)
    status = status_of(content)
    pinned = ((content.get("spec") or {}).get("deploy") or {}).get("revision")
    wanted = None if unpin else _choose(content, status, number)
    if wanted == pinned:
        click.echo(f"{name} is not pinned" if unpin else f"{name} is pinned to revision {wanted} already")
        return 0
    tool = gitops(content)
    if tool:
        click.echo(f"warning: {tool} manages {name} and may put spec.deploy.revision back", err=True)
        click.echo(
            "  cure: revert the commit in git instead; a recipe trained before is served without training", err=True
        )
    stored = content if dry_run else cluster.patch(name, pin(wanted))
    click.echo(_said(name, status, wanted, pinned))
    if dry_run or not wait:
        return 0
    return _wait(cluster, name, stored, wanted, timeout)


def _choose(content: dict[str, Any], status: TrainingRunStatus, number: int | None) -> int:
    from runwright_cli.cluster.errors import ClusterError
    from runwright_cli.cluster.rollback import before_the_current, revision_of, why_not

    if ((content.get("spec") or {}).get("deploy") or {}).get("mode") == "None":
        raise ClusterError("spec.deploy.mode is None, so nothing serves", "set it to Standard or Knative first")
    if number is None:
        return before_the_current(status).number
    why = why_not(revision_of(status, number))
    if why:
        raise ClusterError(f"revision {number} cannot serve: {why}", "`runwright history` shows those that passed")
    return number


def _said(name: str, status: TrainingRunStatus, wanted: int | None, pinned: int | None) -> str:
    now = f" instead of revision {status.serving.revision}" if status.serving else ""
    if wanted is None:
        return f"{name} is no longer pinned to revision {pinned}: the newest revision that passed the gate serves"
    if status.serving and status.serving.revision == wanted:
        return f"{name} stays at revision {wanted}, pinned"
    return f"revision {wanted} of {name} serves{now}, without training; `--unpin` undoes it"


def _wait(cluster: Any, name: str, stored: dict[str, Any], number: int | None, timeout: float | None) -> int:
    import sys

    from rich.console import Console

    from runwright_cli.cluster.stages import Wanted
    from runwright_cli.cluster.watching import watch

    wanted = Wanted(generation=int(stored["metadata"].get("generation", 0)), serving=number)
    return watch(cluster, name, Console(file=sys.stdout, highlight=False), wanted=wanted, seconds=timeout)
