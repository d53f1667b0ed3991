"""`runwright submit`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from runwright_cli.cluster.options import cluster_options, examples, file_argument, timeout_option, wait_option
from runwright_cli.options import changes_option

if TYPE_CHECKING:
    from runwright_cli.cluster.connection import Target


@click.command(epilog=examples("runwright submit run.yaml --wait --timeout 2h", "runwright submit run.yaml --dry-run"))
@file_argument
@changes_option
@wait_option
@timeout_option
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that another field manager set.")
@cluster_options
def submit(
    file: str,
    changes: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    dry_run: bool,
    force_conflicts: bool,
    target: Target,
) -> int:
    """Apply a TrainingRun file to the cluster (server-side apply) and say what comes of it.

    It is validated here first, as `runwright validate` does.

    Exit code 0: applied; with --wait: Ready. 2: the gate rejected the model. 1: failed. 124: not ready within
    --timeout.
    """
    from rich.console import Console

    from runwright_cli.cluster import applying
    from runwright_cli.cluster.stages import Wanted
    from runwright_cli.cluster.watching import watch

    question = applying.asked(file, changes, target)
    expected = applying.expect(question)
    console = Console(file=sys.stdout, highlight=False)
    applying.print_plan(console, expected)
    if dry_run:
        return 0
    name, cluster = question.run.name, question.cluster
    stored = cluster.apply(question.manifest, force=force_conflicts)
    before, after = (_version(content) for content in (expected.before, stored))
    done = "created" if before is None else "unchanged" if before == after else "configured"
    console.print(f"trainingrun {name} {done} in namespace {cluster.namespace}", markup=False, soft_wrap=True)
    if not wait:
        if done != "unchanged":
            console.print(f"follow it: runwright watch {name} -n {cluster.namespace}", markup=False, soft_wrap=True)
        return 0
    wanted = Wanted(generation=int(stored["metadata"].get("generation", 0)))
    return watch(cluster, name, console, wanted=wanted, seconds=timeout)


def _version(content: dict[str, dict[str, str]] | None) -> str | None:
    return content["metadata"].get("resourceVersion") if content else None
