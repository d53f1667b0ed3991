"""`runwright validate`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", help="Form of the answer.")
def validate(files: tuple[str, ...], output: str) -> int:
    """Check TrainingRun files: every problem with its place and its cure. `-` reads standard input.

    Of `train.code`, its file and its entry point are looked for; nothing of it is run.

    Exit code 0: all are valid. 1: at least one is not.
    """
    from runwright_api.problems import SpecError
    from runwright_cli.files import read
    from runwright_cli.own_code import check_code

    answers: list[dict[str, Any]] = []
    for file in files:
        try:
            found = read(file)
            check_code(found, file)
        except SpecError as error:
            answers.append({"file": file, "valid": False, "problems": [asdict(item) for item in error.problems]})
            if output == "text":
                click.echo(error.render())
        else:
            name = found.run.metadata.name
            answers.append({"file": file, "valid": True, "name": name, "problems": []})
            if output == "text":
                click.echo(f"{file}: {name} is valid")
    if output == "json":
        click.echo(json.dumps(answers, indent=2))
    return 0 if all(answer["valid"] for answer in answers) else 1
