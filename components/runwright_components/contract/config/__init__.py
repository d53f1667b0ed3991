"""What each stage is told: frozen, strict, with every default resolved.

The pipeline lowers a TrainingRun into these models and passes them as JSON. They are versioned with the
component images, apart from the TrainingRun API, so that an API version can change while images do not.
"""

from runwright_components.contract.config.augment import AugmentConfig, EmaConfig, UnfreezeConfig
from runwright_components.contract.config.base import (
    SPLITS,
    ColumnType,
    Config,
    Format,
    Modality,
    SplitName,
    TaskKind,
    parse,
)
from runwright_components.contract.config.code import CodeConfig
from runwright_components.contract.config.collect import CollectConfig, CsvOptions, ExcelOptions, Source
from runwright_components.contract.config.delivery import (
    Bound,
    DeployConfig,
    EvaluateConfig,
    PackageConfig,
    RegisterConfig,
)
from runwright_components.contract.config.delta import DeltaConfig
from runwright_components.contract.config.distributed import DistributedConfig
from runwright_components.contract.config.environment import EnvironmentConfig, ReinforcementConfig
from runwright_components.contract.config.expectations import CompareRule, ExpectationConfig, RangeRule
from runwright_components.contract.config.features import (
    Bins,
    CategoricalRules,
    DateRules,
    NumericRules,
    Polynomial,
    SelectRules,
    TfidfRules,
)
from runwright_components.contract.config.feedback import FeedbackConfig
from runwright_components.contract.config.hub import HubConfig
from runwright_components.contract.config.iceberg import IcebergConfig
from runwright_components.contract.config.incremental import IncrementalConfig
from runwright_components.contract.config.joins import AsOfConfig, JoinConfig
from runwright_components.contract.config.kafka import KafkaConfig
from runwright_components.contract.config.language import LoraConfig
from runwright_components.contract.config.logs import LogConfig, LogLayout
from runwright_components.contract.config.missing import MissingRules
from runwright_components.contract.config.pii import PiiRules
from runwright_components.contract.config.prepare import (
    Column,
    FormatRules,
    ImageRules,
    OutlierRules,
    PrepareConfig,
    SplitRules,
    TextRules,
)
from runwright_components.contract.config.reach import ReachConfig
from runwright_components.contract.config.series import SeriesRules
from runwright_components.contract.config.synthetic import SyntheticConfig
from runwright_components.contract.config.train import EarlyStopping, ModelConfig, TrainConfig
from runwright_components.contract.config.tune import ConditionConfig, ParameterConfig, TuneConfig
from runwright_components.contract.config.unsupervised import UnsupervisedConfig

__all__ = [
    "SPLITS",
    "AsOfConfig",
    "AugmentConfig",
    "Bins",
    "Bound",
    "CategoricalRules",
    "CodeConfig",
    "CollectConfig",
    "Column",
    "ColumnType",
    "CompareRule",
    "ConditionConfig",
    "Config",
    "CsvOptions",
    "DateRules",
    "DeltaConfig",
    "DeployConfig",
    "DistributedConfig",
    "EarlyStopping",
    "EmaConfig",
    "EnvironmentConfig",
    "EvaluateConfig",
    "ExcelOptions",
    "ExpectationConfig",
    "FeedbackConfig",
    "Format",
    "FormatRules",
    "HubConfig",
    "IcebergConfig",
    "ImageRules",
    "IncrementalConfig",
    "JoinConfig",
    "KafkaConfig",
    "LogConfig",
    "LogLayout",
    "LoraConfig",
    "MissingRules",
    "Modality",
    "ModelConfig",
    "NumericRules",
    "OutlierRules",
    "PackageConfig",
    "ParameterConfig",
    "PiiRules",
    "Polynomial",
    "PrepareConfig",
    "RangeRule",
    "ReachConfig",
    "RegisterConfig",
    "ReinforcementConfig",
    "SelectRules",
    "SeriesRules",
    "Source",
    "SplitName",
    "SplitRules",
    "SyntheticConfig",
    "TaskKind",
    "TextRules",
    "TfidfRules",
    "TrainConfig",
    "TuneConfig",
    "UnfreezeConfig",
    "UnsupervisedConfig",
    "parse",
]
