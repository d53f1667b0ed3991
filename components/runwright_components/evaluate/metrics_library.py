"""torchmetrics without what a table of figures does not need.

`import torchmetrics` imports its audio, image, text and plotting parts, and with them torchvision, scipy, transformers
and matplotlib where they are installed: nine tenths of its time, several seconds in every run. The functions that we
use need none of these. So the two packages above them are entered into `sys.modules` without running their `__init__`.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any


def classification() -> Any:
    """The module `torchmetrics.functional.classification`."""
    return _module("classification")


def regression() -> Any:
    """The module `torchmetrics.functional.regression`."""
    return _module("regression")


def _module(name: str) -> Any:
    if "torchmetrics" not in sys.modules:
        vars(_bare("torchmetrics"))["_logger"] = logging.getLogger("torchmetrics")  # its submodules import it
        _bare("torchmetrics.functional")
        _without_plots()
    return importlib.import_module(f"torchmetrics.functional.{name}")


def _without_plots() -> None:
    """Tell torchmetrics that matplotlib is not there; its plotting is imported whenever it is."""
    _bare("torchmetrics.utilities")
    vars(importlib.import_module("torchmetrics.utilities.imports"))["_MATPLOTLIB_AVAILABLE"] = False
    del sys.modules["torchmetrics.utilities"]  # the real one is imported when it is wanted


def _bare(name: str) -> ModuleType:
    """A package that finds its submodules and has nothing else."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{name} is not installed", name=name)
    module = ModuleType(name)
    module.__spec__ = spec
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
    return module
