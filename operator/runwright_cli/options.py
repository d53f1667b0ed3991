"""Options that several commands have."""

from __future__ import annotations

import click

layout_option = click.option(
    "--layout",
    type=click.Choice(("compact", "stages")),
    help="compact: few tasks; stages: one a stage. Default: the file's.",
)
changes_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field, e.g. spec.train.epochs=3. Repeatable.",
)
