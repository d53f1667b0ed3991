"""Uses of an environment and an agent that break a rule, and good ones: a name, the changes, the place that is told,
its words."""

from typing import Any

ACTS: dict[str, Any] = {
    "spec.data": None,
    "spec.prepare": None,
    "spec.train": {"task": "environment-control", "environment": {"id": "CartPole-v1"}},
}
SPACE = {"name": "seed", "type": "int", "min": 0.0, "max": 9.0}
PLACE = "spec.train.environment"


def _environment(**fields: Any) -> dict[str, Any]:
    return ACTS | {PLACE: fields}


REINFORCEMENT_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("no environment", ACTS | {PLACE: None}, PLACE, "needs train.environment"),
    ("environment of a table", {PLACE: {"id": "CartPole-v1"}}, PLACE, "other tasks do not have"),
    ("agent of a table", {"spec.train.reinforcement": {}}, "spec.train.reinforcement", "is for environment-control"),
    ("data and environment", ACTS | {"spec.data": {"sources": [{"path": "a.csv"}]}}, "spec.data", "takes their place"),
    ("no data", {"spec.data": None}, "spec.data", "data.sources are needed"),
    ("no sources", {"spec.data": {"maxRows": 3}}, "spec.data", "data.sources are needed"),
    ("nothing to prepare", ACTS | {"spec.prepare": {"target": "a"}}, "spec.prepare", "neither prepare nor tune"),
    ("no search", ACTS | {"spec.tune": {"searchSpace": [SPACE]}}, "spec.tune", "neither prepare nor tune"),
    ("two environments", _environment(id="CartPole-v1", file="a.py", **{"class": "A"}), f"{PLACE}.id", "id or a file"),
    ("file alone", _environment(file="a.py"), f"{PLACE}.class", "names the environment of a file"),
    ("files of an id", _environment(id="CartPole-v1", files=["a.csv"]), f"{PLACE}.files", "environment of a file"),
    ("rule of an id", _environment(id="CartPole-v1", baseline="rule"), f"{PLACE}.baseline", "environment of a file"),
    ("epochs", ACTS | {"spec.train.epochs": 3}, "spec.train.epochs", "under train.reinforcement"),
    ("sizes", ACTS | {"spec.train.model": {"hidden": [8]}}, "spec.train.model.hidden", "under train.reinforcement"),
    ("code", ACTS | {"spec.train.code": {"path": "a.py"}}, "spec.train.code", "under train.reinforcement"),
    (
        "GPU",
        ACTS | {"spec.train.resources": {"gpusPerNode": 1}},
        "spec.train.resources.gpusPerNode",
        "one process on the CPU",
    ),
    ("slices", ACTS | {"spec.evaluate": {"slices": ["a"]}}, "spec.evaluate.slices", "slices are for the others"),
    ("episodes", {"spec.evaluate": {"episodes": 5}}, "spec.evaluate.episodes", "is for environment-control"),
    (
        "metric of a table",
        ACTS | {"spec.evaluate": {"gate": [{"metric": "accuracy", "min": 0.5}]}},
        "spec.evaluate.gate[0].metric",
        "fit the task",
    ),
]

REINFORCEMENT_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("environment of Gymnasium", ACTS),
    (
        "environment of a file",
        _environment(
            file="house.py",
            files=["winter.csv"],
            arguments={"warmest": 22.5, "night": True, "name": "x"},
            baseline="thermostat",
            maxSteps=100,
            **{"class": "House"},
        ),
    ),
    (
        "agent",
        ACTS
        | {
            "spec.train.reinforcement": {"algorithm": "dqn", "timesteps": 5000, "hidden": [32], "learningRate": 0.001},
            "spec.train.seed": 3,
            "spec.train.checkpoint": {"everySteps": 1000},
            "spec.evaluate": {"episodes": 20, "gate": [{"metric": "gainOverRandom", "min": 10}]},
        },
    ),
]
