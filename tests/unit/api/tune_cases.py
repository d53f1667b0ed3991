"""Uses of spec.tune that break a rule: a name, the changes, the place that is told, and words of it."""

from typing import Any

RATE = {"name": "learningRate", "type": "float", "min": 1e-4, "max": 0.1, "log": True}
EPOCHS = {"name": "epochs", "type": "int", "min": 5, "max": 50}
ACTIVATION = {"name": "model.activation", "type": "choice", "choices": ["relu", "gelu"]}
SPACE = "spec.tune.searchSpace"


def space(*parameters: dict[str, Any], **tune: Any) -> dict[str, Any]:
    return {"spec.tune": {"searchSpace": list(parameters), **tune}}


TUNE_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("empty space", {"spec.tune": {}}, SPACE, "either a searchSpace or `automl: true`"),
    ("no choices", space({"name": "optimizer", "type": "choice"}), f"{SPACE}[0]", "choice has choices"),
    ("no bounds", space({"name": "epochs", "type": "int", "min": 1}), f"{SPACE}[0]", "min and max"),
    ("min above max", space({**EPOCHS, "min": 60}), f"{SPACE}[0].min", "min is less than max"),
    ("wide step", space({**EPOCHS, "step": 100}), f"{SPACE}[0].step", "step fits between"),
    ("half an epoch", space({**EPOCHS, "min": 1.5}), f"{SPACE}[0].min", "whole numbers"),
    (
        "logarithm of 0",
        space({"name": "weightDecay", "type": "float", "min": 0, "max": 1, "log": True}),
        f"{SPACE}[0].min",
        "starts above 0",
    ),
    ("log and step", space({**RATE, "step": 0.001}), f"{SPACE}[0].step", "exclude each other"),
    ("twice", space(RATE, EPOCHS, RATE), f"{SPACE}[2].name", "searched once"),
    (
        "condition without values",
        space({**RATE, "when": {"name": "optimizer"}}),
        f"{SPACE}[0].when",
        "either `equals` or `in`",
    ),
    (
        "condition on a number",
        space(EPOCHS, {**RATE, "when": {"name": "epochs", "equals": 5}}),
        f"{SPACE}[1].when.name",
        "another parameter of type choice",
    ),
    (
        "condition that never holds",
        space(ACTIVATION, {**RATE, "when": {"name": "model.activation", "in": ["gelu", "silu"]}}),
        f"{SPACE}[1].when.in",
        "among the choices",
    ),
    (
        "conditions in a circle",
        space(
            {**ACTIVATION, "when": {"name": "optimizer", "equals": "sgd"}},
            {
                "name": "optimizer",
                "type": "choice",
                "choices": ["sgd", "adamw"],
                "when": {"name": "model.activation", "equals": "relu"},
            },
            RATE,
        ),
        f"{SPACE}[0].when",
        "circle",
    ),
    ("grid without steps", space({**RATE, "log": False}, algorithm="grid"), f"{SPACE}[0].step", "needs a step"),
    (
        "endless grid",
        space({**EPOCHS, "max": 9999}, {**RATE, "log": False, "step": 0.01}, algorithm="grid"),
        SPACE,
        "at most 10000",
    ),
    ("cmaes of choices", space(RATE, ACTIVATION, algorithm="cmaes"), "spec.tune.algorithm", "two or more"),
    (
        "accuracy minimized",
        space(RATE, objective={"metric": "accuracy", "direction": "minimize"}),
        "spec.tune.objective.direction",
        "a score is maximized",
    ),
    (
        "direction alone",
        space(RATE, objective={"direction": "minimize"}),
        "spec.tune.objective.direction",
        "needs a metric",
    ),
    ("foreign objective", space(RATE, objective={"metric": "rmse"}), "spec.tune.objective.metric", "fits the task"),
    ("automl for ever", {"spec.tune": {"automl": True}}, "spec.tune.budget.time", "time budget"),
    (
        "automl by a grid",
        {"spec.tune": {"automl": True, "budget": {"time": "1m"}, "algorithm": "grid"}},
        "spec.tune.algorithm",
        "searches by tpe",
    ),
    (
        "automl of a given model",
        {"spec.tune": {"automl": True, "budget": {"time": "1m"}}, "spec.train.model": {"hidden": [8]}},
        "spec.train.model",
        "chooses the model itself",
    ),
    (
        "trials on two nodes",
        {**space(RATE), "spec.train.resources": {"nodes": 2}},
        "spec.train.resources.nodes",
        "one node",
    ),
    (
        "a database where trials are processes",
        space(RATE, storage={"secretRef": {"name": "study"}}),
        "spec.tune.storage",
        "only where trials are jobs",
    ),
    (
        "a long name for the jobs of trials",
        {**space(RATE, backend="jobs"), "metadata.name": "n" * 41},
        "metadata.name",
        "at most 40 characters",
    ),
    (
        "trials as TrainJobs",
        {**space(RATE, backend="jobs"), "spec.train.backend": "trainjob"},
        "spec.train.backend",
        "are PyTorchJobs",
    ),
    (
        "a built-in model's width in own code",
        {
            **space(RATE, {"name": "model.width", "type": "int", "min": 8, "max": 64}),
            "spec.train": {"task": "tabular-classification", "code": {"path": "train.py"}},
        },
        f"{SPACE}[1].name",
        "no built-in model whose fields",
    ),
    (
        "automl of a language model",
        {
            "spec.tune": {"automl": True, "budget": {"time": "1m"}},
            "spec.train.task": "text-generation",
            "spec.prepare": None,
            "spec.evaluate": None,
        },
        "spec.tune.automl",
        "classification and regression",
    ),
    # What the fields of spec.train do not take; these are told in words of their own.
    ("unknown field", space({**EPOCHS, "name": "epoch"}), f"{SPACE}[0].name", "did you mean epochs?"),
    (
        "fixed field",
        space({"name": "resources.nodes", "type": "int", "min": 1, "max": 4}),
        f"{SPACE}[0].name",
        "no field of spec.train that can be searched",
    ),
    ("half epochs", space({**EPOCHS, "type": "float"}), f"{SPACE}[0].type", "epochs is not searched as float"),
    (
        "range of words",
        space({"name": "optimizer", "type": "int", "min": 1, "max": 2}),
        f"{SPACE}[0].type",
        "use `type: choice`",
    ),
    (
        "no rate",
        space({**RATE, "log": False, "min": 0}),
        f"{SPACE}[0].min",
        "learningRate = 0: Input should be",
    ),
    (
        "unknown optimizer",
        space({"name": "optimizer", "type": "choice", "choices": ["adam", "lion"]}),
        f"{SPACE}[0].choices[1]",
        "optimizer = lion",
    ),
    (
        "foreign model",
        space({"name": "model.name", "type": "choice", "choices": ["mlp", "cnn"]}),
        f"{SPACE}[0].choices[1]",
        "model.name fits the task",
    ),
]

OWN_WORDS = "every parameter of tune.searchSpace is a field of spec.train, of its type and within its bounds"
"""The rule whose messages name the parameter and the value."""

TUNE_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("search", space(RATE, {**EPOCHS, "step": 5}, ACTIVATION, parallel=2, budget={"trials": 9, "gpuSeconds": 1.5})),
    ("widths", space({"name": "model.hidden", "type": "choice", "choices": [[64], [128, 128], []]})),
    (
        "conditions",
        space(
            {"name": "model.name", "type": "choice", "choices": ["mlp", "xgboost", "lightgbm"]},
            {**RATE, "when": {"name": "model.name", "equals": "mlp"}},
            {
                "name": "model.trees.learningRate",
                "type": "float",
                "min": 0.01,
                "max": 0.3,
                "when": {"name": "model.name", "in": ["xgboost", "lightgbm"]},
            },
        ),
    ),
    ("flags", space({"name": "model.freeze", "type": "choice", "choices": [False]}, RATE)),
    ("automl", {"spec.tune": {"automl": True, "budget": {"time": "10m"}, "objective": {"metric": "rocAuc"}}}),
    ("grid", space(EPOCHS, {**RATE, "log": False, "step": 0.01}, algorithm="grid", pruning={"algorithm": "none"})),
    ("cmaes", space(EPOCHS, RATE, algorithm="cmaes", objective={"metric": "logLoss", "direction": "minimize"})),
]
