"""What each image holds. This is the page to edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

REGISTRY = "ghcr.io/runwright"
SOURCE = "https://github.com/runwright/runwright"
USER = 65532  # numeric and not 0, as Pod Security `restricted` and Kubeflow Pipelines demand
OPERATOR = ("runwright_api", "runwright_components", "runwright_pipelines", "runwright_operator")
COMPONENTS = ("runwright_components",)


@dataclass(frozen=True)
class Image:
    """One image. `requirements` is a file of the folder of that name, `ours` are packages of our distribution."""

    name: str
    about: str
    requirements: str
    ours: tuple[str, ...]
    posix_shell: bool = False
    """Whether it has `sh` and `mktemp`, which the command line of a Kubeflow pipeline's step is written for."""
    cuda: Literal["none", "stand-ins", "all"] = "none"
    """Where torch is: NVIDIA's libraries, or stand-ins for those that torch cannot be loaded without."""
    without: str = ""
    """Third-party files that it never reads, as a pattern of their paths."""
    entrypoint: tuple[str, ...] = ()


IMAGES = {
    image.name: image
    for image in (
        Image(
            "operator",
            "Runwright's operator: TrainingRuns become served models",
            "operator.txt",
            OPERATOR,
            entrypoint=("python", "-m", "runwright_operator"),
        ),
        Image(
            "components-python",
            "Runwright's pipeline steps, training on CPUs, model server",
            "components.txt",
            COMPONENTS,
            posix_shell=True,
            cuda="stand-ins",
        ),
        Image(
            "train-cuda",
            "Runwright's pipeline steps, training on NVIDIA GPUs, model server",
            "components.txt",
            COMPONENTS,
            posix_shell=True,
            cuda="all",
        ),
        Image(
            "serve",
            "Runwright's model server",
            "serve.txt",
            COMPONENTS,
            # downloads from the Hub, conversion of models, what the command line's pages are drawn with
            without=r"hf_xet|huggingface_hub|fsspec|onnxruntime/(transformers|tools|quantization|datasets)/|pygments|rich|markdown_it",
        ),
    )
}

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",  # noqa: S108 (the one folder that may be written to)
    "PYTHONSAFEPATH": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
