"""The commented TrainingRun that `init` writes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from runwright_cli.guessing import Guess
from runwright_cli.starts import STARTS

LONGEST_NAME = 50


def run_name(path: Path) -> str:
    """A valid name for a run on these data: `Sales 2024.csv` becomes `sales-2024`."""
    name = re.sub(r"[^a-z0-9]+", "-", path.absolute().name.split(".")[0].lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)[:LONGEST_NAME].strip("-")
    return name or "run"


def render(name: str, path: Path, folder: Path, found: Guess) -> str:
    """The YAML text for a file that will lie in `folder`."""
    head = f"""# `runwright run FILE` makes a model of these data; `runwright schema` lists every field.
apiVersion: runwright.dev/v1alpha1
kind: TrainingRun
metadata:
  name: {name}
spec:"""
    place = scalar(os.path.relpath(path.absolute(), folder))
    acts = found.task == "environment-control"
    data = () if acts else (_data(place, found), _prepare(found))
    return "\n".join([head, *data, _train(place, path, found), _rest(found)]) + "\n"


def _data(place: str, found: Guess) -> str:
    lines = [
        "  data:",
        "    sources:",
        f"      - path: {place}  # relative to this file; a folder or a pattern works too",
    ]
    if found.format:
        lines.append(f"        format: {found.format}")
    return "\n".join(lines)


def _prepare(found: Guess) -> str:
    lines = ["  prepare:"]
    lines += [f"    # {comment(reason)}" for reason in found.reasons]
    if found.target and (found.target != "label" or found.task.startswith("tabular")):
        lines.append(f"    target: {scalar(found.target)}")
    if found.text and found.text != "text":
        lines.append(f"    text: {{column: {scalar(found.text)}, maxTokens: 128}}")
    if found.pieces:
        lines.append(f"    text: {{{', '.join(f'{role}: {scalar(column)}' for role, column in found.pieces)}}}")
    if found.time:
        by = f", by: [{', '.join(map(scalar, found.by))}]" if found.by else ""
        lines.append(f"    series: {{time: {scalar(found.time)}{by}, horizon: 12}}  # stamps that are forecast")
    if found.image:
        height, width, channels = found.image
        lines.append(f"    image: {{height: {height}, width: {width}, channels: {channels}}}")
    if found.ignored:
        lines.append("    columns:")
    for column, why in found.ignored:
        lines.append(f"      - {{name: {scalar(column)}, type: ignore}}  # {comment(why)}")
    strategy = "" if found.time else f"strategy: {'stratified' if found.stratified else 'random'}, "
    lines.append(f"    split: {{{strategy}train: 0.7, validation: 0.15, test: 0.15, seed: 0}}")
    return "\n".join(lines)


def _train(place: str, path: Path, found: Guess) -> str:
    lines = ["  train:", f"    task: {found.task}"]
    if found.task == "environment-control":
        own = f"file: {place}, class: {scalar(found.target)}"
        lines.append(f"    environment: {{{own if path.suffix == '.py' else f'id: {scalar(str(path))}'}}}")
    return "\n".join([*lines, *(f"    {line}" for line in STARTS[found.task].train)])


def _rest(found: Guess) -> str:
    return f"""  evaluate:
    # A model below a bound is not published. Without a gate every model is.
    gate: []
    #   - {{metric: {STARTS[found.task].gate}}}"""


def scalar(value: str) -> str:
    """A YAML scalar for any text: plain where that is safe, else quoted as in JSON."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_/.-]*", value) and value.lower() not in (
        "null",
        "true",
        "false",
        "yes",
        "no",
    ):
        return value
    return json.dumps(value, ensure_ascii=False)


def comment(text: str) -> str:
    """Text on one line, without characters that are not seen: they could end the comment, or turn its direction."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
