"""What a cross-validation and the memory of splits ask of the rest of a TrainingRun."""

from __future__ import annotations

from typing import Any

from runwright_api.part import Path, Rule, unless

TASKS = (
    "tabular-classification",
    "tabular-regression",
    "text-classification",
    "text-regression",
    "image-classification",
)
_SPLIT = "!has(self.prepare) || !has(self.prepare.split)"
_NO_FOLDS = f"{_SPLIT} || !has(self.prepare.split.folds)"
_PLACE = ("prepare", "split", "folds")


def _with_folds(spec: Any, fits: bool) -> list[Path]:
    return unless(spec.prepare.split.folds is None or fits, *_PLACE)


def _alone(spec: Any) -> bool:
    """Whether one process without a GPU trains."""
    found = spec.train.resources
    return (found.nodes, found.gpus_per_node, found.processes_per_node) == (1, 0, 1)


FOLD_RULES = (
    Rule(
        message="folds are for classification and regression of tables, texts and images",
        broken=lambda self: _with_folds(self, self.train.task in TASKS),
        cel=f"{_NO_FOLDS} || self.train.task in [{', '.join(map(repr, TASKS))}]",
        cure="remove `folds`; series are judged over many windows as it is (prepare.split: {test: 0.3})",
    ),
    Rule(
        message="folds are for the built-in models",
        broken=lambda self: _with_folds(self, self.train.code is None),
        cel=f"{_NO_FOLDS} || !has(self.train.code)",
        cure="remove `folds`; own code can cut folds of its training rows by itself",
    ),
    Rule(
        message="the models of folds train in one process, on the CPU",
        broken=lambda self: _with_folds(self, _alone(self)),
        cel=(
            f"{_NO_FOLDS} || !has(self.train.resources)"
            " || ((!has(self.train.resources.nodes) || self.train.resources.nodes == 1)"
            " && (!has(self.train.resources.gpusPerNode) || self.train.resources.gpusPerNode == 0)"
            " && (!has(self.train.resources.processesPerNode) || self.train.resources.processesPerNode == 1))"
        ),
        cure="remove nodes, gpusPerNode and processesPerNode from train.resources, or `folds`",
    ),
    Rule(
        message="folds are prepared by the local engine",
        broken=lambda self: _with_folds(self, self.data.engine == "local"),
        cel=f"{_NO_FOLDS} || !has(self.data.engine) || self.data.engine == 'local'",
        cure="use `engine: local`, or remove `folds`",
    ),
    Rule(
        message="nested folds are searched by processes, as spec.tune says",
        broken=lambda self: unless(
            not self.prepare.split.nested or (self.tune is not None and self.tune.backend != "jobs"),
            "prepare",
            "split",
            "nested",
        ),
        cel=(
            f"{_SPLIT} || !has(self.prepare.split.nested) || !self.prepare.split.nested"
            " || (has(self.tune) && (!has(self.tune.backend) || self.tune.backend != 'jobs'))"
        ),
        cure="add `tune`, without `backend: jobs`; or remove `nested`",
    ),
    Rule(
        message="the documents of a language model are remembered by their digest alone",
        broken=lambda self: unless(
            self.train.task != "text-generation" or not self.prepare.split.remember, "prepare", "split", "remember"
        ),
        cel=(
            f"self.train.task != 'text-generation' || {_SPLIT}"
            " || !has(self.prepare.split.remember) || !self.prepare.split.remember"
        ),
        cure="use `strategy: hash` in place of `remember`",
    ),
)
