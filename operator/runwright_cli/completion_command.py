"""`runwright completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

INSTALL = {
    "bash": 'eval "$(runwright completion bash)"  in ~/.bashrc',
    "zsh": 'eval "$(runwright completion zsh)"  in ~/.zshrc',
    "fish": "runwright completion fish > ~/.config/fish/completions/runwright.fish",
}


@click.command(epilog="To install: " + "; ".join(INSTALL.values()))
@click.argument("shell", type=click.Choice(tuple(INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options with the tab key."""
    kind = get_completion_class(shell)
    assert kind is not None  # click has the three that the argument allows
    click.echo(kind(ctx.find_root().command, {}, "runwright", "_RUNWRIGHT_COMPLETE").source())
