"""`runwright compile`."""

from __future__ import annotations

from pathlib import Path

import click

from runwright_cli.options import changes_option, layout_option


@click.command("compile")
@click.argument("file")
@layout_option
@changes_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here. Default: print.")
@click.option("--image", help="Container image of the steps. Default: the release's own.")
def compile_(file: str, layout: str | None, changes: tuple[str, ...], output: Path | None, image: str | None) -> None:
    """Compile a TrainingRun to a Kubeflow pipeline (IR, YAML), the one that `run` and the operator start.

    The same file gives the same bytes.
    """
    from runwright_cli.files import read

    found = read(file, changes)
    from runwright_components.contract.files import write_bytes
    from runwright_pipelines.compiling import Images, compile

    text = compile(found.run, Images(image) if image else None, layout)  # type: ignore[arg-type]
    if output:
        write_bytes(output, text.encode())
        click.echo(f"wrote {output}")
    else:
        click.echo(text, nl=False)
