"""`spec.train.code`: the user's own training code in place of a built-in model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from runwright_api.part import Lax, Part, Rule, unless
from runwright_api.spec.shared import SET, unique
from runwright_api.text import EntryPoint, EnvName, FilePath, Text, Word

OURS = "RUNWRIGHT_"
"""Beginning of the names of the variables of the contract."""


class Code(Part):
    """The user's own training code: a Python file, a folder with an entry point, or a command of an image. What it
    finds and what it leaves is written down in docs/own-code.md."""

    path: FilePath | None = None
    """A Python file, or a folder with packages, relative to the YAML file; in a cluster an s3:// address of one."""
    entrypoint: EntryPoint | None = None
    """What is started of a folder: a module (churn.train), or a function without arguments (churn.train:main)."""
    command: Annotated[tuple[Text, ...], Field(max_length=64), Lax] = ()
    """In place of path: a program and its arguments, started without a shell; in a cluster, one of `train.image`."""
    args: Annotated[tuple[Text, ...], Field(max_length=64), Lax] = ()
    """Further arguments, passed as they are."""
    env: Annotated[dict[EnvName, Word], Field(max_length=64)] = Field(default={})
    """Environment variables with their values, which everybody may read: no secrets."""
    pass_env: Annotated[
        tuple[EnvName, ...], Field(max_length=64, json_schema_extra=SET), Lax, AfterValidator(unique)
    ] = ()
    """Variables of the surrounding environment that the code may see; all but the harmless ones are kept from it."""
    exports: Literal["auto", "onnx", "safetensors", "mlflow"] = "auto"
    """What the code leaves in RUNWRIGHT_MODEL. auto: whichever of the three is there. Default: auto."""

    rules = (
        Rule(
            message="code has either a path or a command",
            broken=lambda self: unless((self.path is not None) != bool(self.command), "path"),
            cel="has(self.path) != (has(self.command) && size(self.command) > 0)",
            cure="give `path: FILE.py`, or `path: FOLDER` with an entrypoint, or a command of train.image",
        ),
        Rule(
            message="a folder needs an entrypoint, and a Python file or a command has none",
            broken=lambda self: unless(
                (self.path is not None and not self.path.endswith(".py")) == (self.entrypoint is not None), "entrypoint"
            ),
            cel="(has(self.path) && !self.path.endsWith('.py')) == has(self.entrypoint)",
            cure="for a folder give for example `entrypoint: churn.train`; of a file remove it",
        ),
        Rule(
            message="variables that begin with RUNWRIGHT_ are Runwright's own",
            broken=lambda self: [("env", name) for name in self.env if name.startswith(OURS)],
            cel=f"!has(self.env) || self.env.all(name, !name.startsWith('{OURS}'))",
            cure="give it another name",
        ),
    )


TRAIN_RULES = (
    Rule(
        message="code takes the place of a built-in model",
        broken=lambda train: unless(train.code is None or "model" not in train.model_fields_set, "model"),
        cel="!has(self.code) || !has(self.model)",
        cure="remove `model`, or `code`",
    ),
    Rule(
        message="`image` is for the user's own code",
        broken=lambda train: unless(train.code is not None or train.image is None, "image"),
        cel="!has(self.image) || has(self.code)",
        cure="give `code`, or remove `image`; the administrator chooses the image of built-in models",
    ),
)
"""Rules of `spec.train` about `code`."""
