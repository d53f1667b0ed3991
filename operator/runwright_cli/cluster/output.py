"""Answers for programs: JSON and YAML."""

from __future__ import annotations

import json
from typing import Any

import click


def emit(content: Any, form: str) -> None:
    """Print `content`, plain JSON values, as `json` or `yaml`."""
    if form == "json":
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        import yaml

        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120), nl=False)
