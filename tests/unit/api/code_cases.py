"""Uses of spec.train.code that break a rule, and good ones: a name, the changes, the place that is told, its words."""

from typing import Any

CODE = "spec.train.code"


def code(**fields: Any) -> dict[str, Any]:
    return {CODE: fields, "spec.train.model": None}


CODE_BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("nothing to start", code(args=["a"]), f"{CODE}.path", "either a path or a command"),
    ("path and command", code(path="a.py", command=["python"]), f"{CODE}.path", "command of train.image"),
    ("folder alone", code(path="src"), f"{CODE}.entrypoint", "a folder needs an entrypoint"),
    ("entry point of a file", code(path="a.py", entrypoint="a"), f"{CODE}.entrypoint", "of a file remove it"),
    ("entry point of a command", code(command=["a"], entrypoint="a"), f"{CODE}.entrypoint", "or a command has none"),
    ("our variable", code(path="a.py", env={"RUNWRIGHT_DATA": "x"}), f"{CODE}.env.RUNWRIGHT_DATA", "Runwright's own"),
    (
        "code and model",
        {CODE: {"path": "a.py"}, "spec.train.model": {"name": "mlp"}},
        "spec.train.model",
        "takes the place",
    ),
    ("image alone", {"spec.train.image": "acme/train:1"}, "spec.train.image", "for the user's own code"),
]

CODE_USED_WELL: list[tuple[str, dict[str, Any]]] = [
    ("file", code(path="train.py", args=["--depth", "6"], env={"DEPTH": "6"}, passEnv=["WANDB_API_KEY"])),
    ("folder", code(path="src", entrypoint="churn.train:main", exports="safetensors")),
    ("command of an image", code(command=["python", "/app/train.py"]) | {"spec.train.image": "acme/train:1"}),
    ("in storage", code(path="s3://bucket/churn/", entrypoint="churn.train")),
]
