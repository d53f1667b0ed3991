"""`runwright schema`."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--crd", is_flag=True, help="The CustomResourceDefinition, in YAML, instead of the JSON schema.")
def schema(crd: bool) -> None:
    """Print the schema of a TrainingRun, for editors and validators.

    In an editor with the YAML language server, put `# yaml-language-server: $schema=FILE` on the first line.
    """
    if crd:
        from runwright_api.crd import render

        click.echo(render(), nl=False)
    else:
        from runwright_api.trainingrun import TrainingRun

        click.echo(json.dumps(TrainingRun.model_json_schema(by_alias=True), indent=2))
