"""The commented TrainingRun that `init` writes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from runwright_cli.guessing import Guess

LONGEST_NAME = 50


def run_name(path: Path) -> str:
    """A valid name for a run on these data: `Sales 2024.csv` becomes `sales-2024`."""
    name = re.sub(r"[^a-z0-9]+", "-", path.absolute().name.split(".")[0].lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)[:LONGEST_NAME].strip("-")
    return name or "run"


def render(name: str, path: Path, folder: Path, found: Guess) -> str:
    """The YAML text for a file that will lie in `folder`."""
    place = os.path.relpath(path.absolute(), folder)
    parts = [_head(name, place, found), _prepare(found), _train(found), _rest(found)]
    return "\n".join(parts) + "\n"


def _head(name: str, place: str, found: Guess) -> str:
    source = f"      - path: {_text(place)}  # relative to this file; a folder or a pattern works too"
    if found.format:
        source += f"\n        format: {found.format}"
    return f"""# `runwright run FILE` makes a model of these data; `runwright schema` lists every field.
apiVersion: runwright.dev/v1alpha1
kind: TrainingRun
metadata:
  name: {name}
spec:
  data:
    sources:
{source}"""


def _prepare(found: Guess) -> str:
    lines = ["  prepare:"]
    lines += [f"    # {_comment(reason)}" for reason in found.reasons]
    if found.task.startswith("tabular") or found.target != "label":
        lines.append(f"    target: {_text(found.target)}")
    if found.text and found.text != "text":
        lines.append(f"    text: {{column: {_text(found.text)}, maxTokens: 128}}")
    if found.image:
        height, width, channels = found.image
        lines.append(f"    image: {{height: {height}, width: {width}, channels: {channels}}}")
    if found.ignored:
        lines.append("    columns:")
    for column, why in found.ignored:
        lines.append(f"      - {{name: {_text(column)}, type: ignore}}  # {_comment(why)}")
    strategy = "stratified" if found.stratified else "random"
    lines.append(f"    split: {{strategy: {strategy}, train: 0.7, validation: 0.15, test: 0.15, seed: 0}}")
    return "\n".join(lines)


def _train(found: Guess) -> str:
    model, epochs = {
        "tabular-classification": ("mlp, hidden: [128, 128]", 100),
        "tabular-regression": ("mlp, hidden: [128, 128]", 100),
        "image-classification": ("cnn", 20),
        "text-classification": ("textcnn", 10),
        "text-regression": ("textcnn", 10),
    }[found.task]
    return f"""  train:
    task: {found.task}
    model: {{name: {model}}}
    epochs: {epochs}  # at most: training stops early when the validation loss no longer falls
    batchSize: 64
    learningRate: 0.001"""


def _rest(found: Guess) -> str:
    bound = "r2, min: 0.5" if found.task.endswith("-regression") else "accuracy, min: 0.8"
    return f"""  evaluate:
    # A model below a bound is not published. Without a gate every model is.
    gate: []
    #   - {{metric: {bound}}}"""


def _text(value: str) -> str:
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


def _comment(text: str) -> str:
    return " ".join(text.split())
