"""A TrainingRun as a task is given it: a mapping or a text of YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runwright_api import yaml_tree
from runwright_api.loading import load, load_object
from runwright_api.problems import Problem, SpecError
from runwright_api.trainingrun import TrainingRun


@dataclass(frozen=True)
class Written:
    """The run, and its content as written, without the defaults: what an apply should own."""

    run: TrainingRun
    content: dict[str, Any]


def written(manifest: Mapping[str, Any] | str) -> Written:
    """Raises SpecError that names line or field."""
    if isinstance(manifest, str):
        run = load(manifest, file="manifest")
        return Written(run, yaml_tree.read(manifest, "manifest").value)
    if not isinstance(manifest, Mapping):
        kind = type(manifest).__name__
        raise SpecError((Problem(f"manifest is {kind}", cure="give a mapping, a text of YAML or a .yaml file"),))
    content = dict(manifest)
    return Written(load_object(content), content)
