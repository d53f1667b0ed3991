"""Options that every command against a cluster has, named as kubectl names them, and the completion of names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

from runwright_cli.cluster.connection import Target

COMPLETION_SECONDS = 2.0  # a tab key that waits longer is a nuisance
_PARTS = ("kubeconfig", "context", "namespace")


def examples(*commands: str) -> str:
    """Commands to try, for the end of a help page, each on a line of its own."""
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


def cluster_options(command: Callable[..., int]) -> Callable[..., int]:
    """`--namespace`, `--context`, `--kubeconfig`, given to the command as `target`."""

    @wraps(command)
    def with_target(**options: Any) -> int:
        target = Target(**{part: options.pop(part) for part in _PARTS})
        return command(target=target, **options)

    decorated: Callable[..., int] = with_target
    for option in (
        click.option("--kubeconfig", metavar="FILE", help="Default: KUBECONFIG, else ~/.kube/config."),
        click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: its current one."),
        click.option("-n", "--namespace", metavar="NAME", help="Default: the file's own, else the context's."),
    ):
        decorated = option(decorated)
    return decorated


def complete_name(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the TrainingRuns in the cluster; none when it cannot be asked quickly."""
    from runwright_cli.cluster.client import Cluster
    from runwright_cli.cluster.errors import ClusterError

    try:
        target = Target(**{part: ctx.params.get(part) for part in _PARTS})
        known = Cluster.of(target).run_names(COMPLETION_SECONDS)
    except ClusterError:
        return []
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    if not value or not re.fullmatch(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?", value):
        raise click.BadParameter(f"{value!r} is not a span of time; for example 90s, 15m or 1h30m", ctx, parameter)
    from runwright_api.text import seconds

    return float(seconds(value))


name_argument = click.argument("name", shell_complete=complete_name)
file_argument = click.argument("file", type=click.Path())
wait_option = click.option("--wait", is_flag=True, help="Follow it until it is Ready or has failed.")
timeout_option = click.option(
    "--timeout",
    callback=_seconds,
    metavar="SPAN",
    help="Wait at most this long, for example 90s or 2h. Default: for ever.",
)
