"""What the collect stage is told."""

from __future__ import annotations

from pydantic import Field

from runwright_components.contract.config.base import Config, Format
from runwright_components.contract.config.delta import DeltaConfig
from runwright_components.contract.config.environment import EnvironmentConfig
from runwright_components.contract.config.feedback import FeedbackConfig
from runwright_components.contract.config.hub import HubConfig
from runwright_components.contract.config.iceberg import IcebergConfig
from runwright_components.contract.config.incremental import IncrementalConfig
from runwright_components.contract.config.joins import JoinConfig
from runwright_components.contract.config.kafka import KafkaConfig
from runwright_components.contract.config.logs import LogConfig
from runwright_components.contract.config.reach import ReachConfig
from runwright_components.contract.config.references import ReferenceConfig
from runwright_components.contract.config.sql import SqlConfig
from runwright_components.contract.config.synthetic import SyntheticConfig


class CsvOptions(Config):
    delimiter: str | None = None  # None: detected among , ; tab |
    quote: str = '"'
    header: bool = True
    encoding: str = "utf-8"


class ExcelOptions(Config):
    sheet: str | None = None  # None: the first
    header_row: int = 1  # counted from 1


class Source(Config):
    """One place to read from. `uri` is a path (relative to `CollectConfig.base`), `file://`, `http(s)://`, `s3://`,
    `gs://` (Google Cloud Storage) or `az://` (Azure).

    A path may hold glob characters or name a folder. For `images` and `text` the folder's class folders are the labels.
    Credentials are never here: they come from the environment (AWS_*, GOOGLE_*, AZURE_*), which
    a Secret fills in a cluster.
    """

    name: str
    uri: str
    format: Format | None = None  # None: by the file's extension
    csv: CsvOptions = CsvOptions()
    excel: ExcelOptions = ExcelOptions()
    logs: LogConfig | None = None  # the files hold log lines, whatever their names
    synthetic: SyntheticConfig | None = None  # rows are made; `uri` is synthetic://KIND
    delta: DeltaConfig | None = None  # `uri` is the folder of a Delta Lake table
    iceberg: IcebergConfig | None = None  # `uri` is the folder of an Iceberg table, or its metadata file
    sql: SqlConfig | None = None  # rows of a database; `uri` is sql://DIALECT/...
    incremental: IncrementalConfig | None = None  # what the revision before has read is not read again
    feedback: FeedbackConfig | None = None  # `uri` is where predictions were logged; another source has their labels
    kafka: KafkaConfig | None = None  # records of a topic; `uri` is kafka://BROKER/TOPIC
    hub: HubConfig | None = None  # a dataset of the Hugging Face Hub; `uri` is hf://datasets/OWNER/NAME
    volume: str | None = None  # folder of a mounted volume that holds the files; links may not lead out of it
    endpoint: str | None = None  # S3-compatible servers
    region: str | None = None
    account: str | None = None  # Azure: the storage account
    headers_env: dict[str, str] = Field(default={})  # HTTP header -> environment variable that holds its value
    timeout_seconds: float = 30.0
    reach: ReachConfig = ReachConfig()  # HTTP: what may be reached; in a cluster the step fills it in
    labelled: bool = True  # images and text: files lie in class folders; else in any folder, and have no label


class CollectConfig(Config):
    sources: tuple[Source, ...] = ()
    environment: EnvironmentConfig | None = None  # in place of sources
    episodes: int = 20  # that are played in it by chance
    seed: int = 0
    base: str = "."  # folder that relative paths start from
    joins: tuple[JoinConfig, ...] = ()  # sources whose columns stand beside the rows of the others
    references: tuple[ReferenceConfig, ...] = ()  # sources that expectations look into
    max_rows: int | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """The sources whose rows do not stand below the others, each once."""
        labels = (source.feedback.labels for source in self.sources if source.feedback is not None)
        joined = (join.source for join in self.joins)
        looked_into = (reference.source for reference in self.references)
        return tuple(dict.fromkeys((*joined, *looked_into, *labels)))

    @property
    def reads_on(self) -> bool:
        """Whether a source is read from where the revision before has stopped."""
        return self.max_rows is None and any(source.incremental is not None for source in self.sources)

    def within(self, reach: ReachConfig) -> CollectConfig:
        """The same, its sources bound to `reach`."""
        sources = tuple(source.model_copy(update={"reach": reach}) for source in self.sources)
        return self.model_copy(update={"sources": sources})
