"""The spec of a TrainingRun, one module a part."""

from runwright_api.spec.data import DataSpec, Source
from runwright_api.spec.delivery import DeploySpec, PackageSpec, RegisterSpec, StorageSpec
from runwright_api.spec.evaluate import Bound, EvaluateSpec
from runwright_api.spec.later import MonitorSpec, RetrainSpec
from runwright_api.spec.model import ModelSpec
from runwright_api.spec.prepare import PrepareSpec
from runwright_api.spec.run import History, TrainingRunSpec
from runwright_api.spec.train import TrainSpec
from runwright_api.spec.tune import TuneSpec

__all__ = [
    "Bound",
    "DataSpec",
    "DeploySpec",
    "EvaluateSpec",
    "History",
    "ModelSpec",
    "MonitorSpec",
    "PackageSpec",
    "PrepareSpec",
    "RegisterSpec",
    "RetrainSpec",
    "Source",
    "StorageSpec",
    "TrainSpec",
    "TrainingRunSpec",
    "TuneSpec",
]
