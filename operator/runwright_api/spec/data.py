"""`spec.data`: where the raw data come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runwright_api.part import Lax, Part, Path, Rule, fill, unless
from runwright_api.spec.clouds import AzureSource, GcsSource
from runwright_api.spec.data_cluster import CLUSTER_RULE, DataCluster
from runwright_api.spec.delta import DeltaOptions
from runwright_api.spec.feedback import DATA_RULES as FEEDBACK_DATA_RULES
from runwright_api.spec.feedback import SOURCE_RULES as FEEDBACK_RULES
from runwright_api.spec.feedback import FeedbackSource
from runwright_api.spec.hub import HuggingFaceSource
from runwright_api.spec.iceberg import IcebergOptions
from runwright_api.spec.incremental import SOURCE_RULES as INCREMENTAL_RULES
from runwright_api.spec.incremental import Incremental
from runwright_api.spec.joins import DATA_RULES, Join
from runwright_api.spec.kafka import KafkaSource
from runwright_api.spec.logs import LogSource
from runwright_api.spec.s3 import S3Source
from runwright_api.spec.shared import SecretRef
from runwright_api.spec.sql import SqlSource
from runwright_api.spec.synthetic import SyntheticSource
from runwright_api.text import (
    Character,
    ClaimName,
    EnvName,
    FilePath,
    HeaderName,
    HttpUrl,
    SourceName,
    Word,
)

Format = Literal[
    "csv", "json", "jsonl", "parquet", "avro", "orc", "arrow", "excel", "delta", "iceberg", "images", "text"
]

TABLES = ("delta", "iceberg")
"""The formats of tables that are folders with a history."""


class HttpSource(Part):
    """A file behind HTTP or HTTPS."""

    url: HttpUrl
    """Address of the file, without credentials."""
    headers_from: Annotated[dict[HeaderName, EnvName], Field(max_length=16)] = Field(default={})
    """Request headers: header name to the environment variable that holds its value."""
    secret_ref: SecretRef | None = None
    """Secret whose keys become those environment variables. Used in a cluster only."""


_WAY_OUT = "^/|(^|/)[.][.](/|$)"


class PvcSource(Part):
    """Files on a PersistentVolumeClaim of the same namespace. Read in a cluster only."""

    claim_name: ClaimName
    """Name of the claim."""
    path: FilePath = "."
    """File, folder or glob pattern inside the volume. Default: all of it."""

    rules = (
        Rule(
            message="a path of a volume stays inside it",
            broken=lambda pvc: unless(re.search(_WAY_OUT, pvc.path) is None, "path"),
            cel=f"!has(self.path) || !self.path.matches('{_WAY_OUT}')",
            cure="write it relative to the volume's root, without '..'",
        ),
    )


class CsvOptions(Part):
    """How a CSV file is written."""

    delimiter: Character | None = None
    """Character between fields. Default: found out among comma, semicolon, tab and bar."""
    quote: Character = '"'
    """Character around fields. Default: double quote."""
    header: bool = True
    """Whether the first row holds the column names. Default: true."""
    encoding: Annotated[Word, Field(max_length=32)] = "utf-8"
    """Encoding of the file. Default: utf-8."""


class ExcelOptions(Part):
    """Which part of a workbook (xlsx, xlsb, xls, ods) is read."""

    sheet: Annotated[Word | None, Field(min_length=1, max_length=64)] = None
    """Name of the sheet. Default: the first."""
    header_row: Annotated[int, Field(ge=1, le=1_048_576)] = 1
    """Row that holds the column names, from 1; rows above it are left out. Default: 1."""


PLACES = ("path", "http", "s3", "gcs", "azure", "sql", "logs", "kafka", "huggingFace", "feedback", "pvc", "synthetic")
"""The fields of a source of which exactly one is given."""


def _places_at_fault(source: Source) -> list[Path]:
    given = [place for place in PLACES if getattr(source, _attribute(place)) is not None]
    return [] if len(given) == 1 else [(place,) for place in given[1:]] or [()]


def _attribute(place: str) -> str:
    return "hugging_face" if place == "huggingFace" else place


class Source(Part):
    """One place to read from. Exactly one of path, http, s3 and so on says where."""

    name: SourceName = "source-0"
    """Name of the source, unique in the run. Default: source-0, source-1 and so on by position."""
    path: FilePath | None = None
    """File, folder or glob pattern, relative to the YAML file. Images and text: a folder with a sub-folder a class."""
    http: HttpSource | None = None
    """A file behind HTTP."""
    s3: S3Source | None = None
    """Objects in S3."""
    gcs: GcsSource | None = None
    """Objects in Google Cloud Storage."""
    azure: AzureSource | None = None
    """Blobs in Azure Blob Storage."""
    sql: SqlSource | None = None
    """Rows of a SQL database."""
    logs: LogSource | None = None
    """Log files."""
    kafka: KafkaSource | None = None
    """Records of a Kafka topic."""
    hugging_face: HuggingFaceSource | None = None
    """A dataset of the Hugging Face Hub."""
    feedback: FeedbackSource | None = None
    """Predictions that a server logged, with labels of another source."""
    pvc: PvcSource | None = None
    """Files on a PersistentVolumeClaim, in a cluster."""
    synthetic: SyntheticSource | None = None
    """Generated rows."""
    format: Format | None = None
    """Format of the files. Default: by their extension. CSV with tabs is csv, Feather is arrow; delta and iceberg,
    folders of tables, are never guessed."""
    csv: CsvOptions = CsvOptions()
    """How CSV files are written."""
    excel: ExcelOptions = ExcelOptions()
    """Which part of a workbook is read."""
    delta: DeltaOptions = DeltaOptions()
    """Which version of a Delta Lake table is read, with `format: delta`."""
    iceberg: IcebergOptions = IcebergOptions()
    """Which rows of an Iceberg table are read, with `format: iceberg`."""
    incremental: Incremental | None = None
    """Read only what is new since the revision before. Default: all, each time."""

    rules = (
        Rule(
            message="exactly one of " + ", ".join(PLACES) + " says where a source is",
            broken=_places_at_fault,
            cel="[" + ", ".join(f"has(self.{place})" for place in PLACES) + "].filter(given, given).size() == 1",
            cure="give one of them; several places are several sources",
        ),
        Rule(
            message="logs, sql, kafka and synthetic have no format",
            broken=lambda source: unless(
                source.format is None or not any((source.logs, source.sql, source.kafka, source.synthetic)), "format"
            ),
            cel="!has(self.format) || (!has(self.logs) && !has(self.sql) && !has(self.kafka) && !has(self.synthetic))",
            cure="remove it; logs.layout says how lines are cut, kafka.valueFormat what a record is",
        ),
        Rule(
            message="a table of Delta Lake or Iceberg lies in a folder or in object storage",
            broken=lambda source: unless(
                source.format not in TABLES or any((source.path, source.s3, source.gcs, source.azure)), "format"
            ),
            cel=(
                "!has(self.format) || !(self.format in ['delta', 'iceberg']) || has(self.path) || has(self.s3)"
                " || has(self.gcs) || has(self.azure)"
            ),
            cure="give its folder with path, s3, gcs or azure",
        ),
        Rule(
            message="a version is one of a Delta Lake table",
            broken=lambda source: unless(source.format == "delta" or source.delta.version is None, "delta", "version"),
            cel="!has(self.delta) || !has(self.delta.version) || (has(self.format) && self.format == 'delta')",
            cure="set `format: delta`, or remove the version",
        ),
        Rule(
            message="iceberg is for `format: iceberg`",
            broken=lambda source: unless(source.format == "iceberg" or source.iceberg == IcebergOptions(), "iceberg"),
            cel=(
                "!has(self.iceberg) || (has(self.format) && self.format == 'iceberg')"
                " || (!has(self.iceberg.snapshot) && !has(self.iceberg.time) && !has(self.iceberg.filter)"
                " && (!has(self.iceberg.columns) || self.iceberg.columns.size() == 0))"
            ),
            cure="set `format: iceberg`, or remove it",
        ),
        *INCREMENTAL_RULES,
        *FEEDBACK_RULES,
    )


def _repeated_names(data: DataSpec) -> list[Path]:
    names = [source.name for source in data.sources]
    return [("sources", index, "name") for index, name in enumerate(names) if name in names[:index]]


class DataSpec(Part):
    """Where the raw data come from."""

    engine: Literal["local", "spark", "ray"] = "local"
    """What prepares them, tables alone: Polars on one node, Spark or Ray. The outputs are the same. Default: local."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=16), Lax] = ()
    """The places to read from; their rows are put one below the other, but for those of `joins` and those that
    expectations refer to."""
    joins: Annotated[tuple[Join, ...], Field(max_length=8), Lax] = ()
    """Sources whose columns are put beside the rows of the others, by a key or as of a time."""
    max_rows: Annotated[int | None, Field(ge=1, le=2**53)] = None
    """Read at most this many rows, to try things out. Default: all."""
    cluster: DataCluster | None = None
    """The pods of the engines spark and ray. Used in a cluster only; needed there."""

    rules = (
        Rule(
            message="names of sources are unique",
            broken=_repeated_names,
            cel=(
                "!has(self.sources) || self.sources.all(one, !has(one.name)"
                " || self.sources.exists_one(other, has(other.name) && other.name == one.name))"
            ),
            cure="give each source a name of its own, or none",
        ),
        *DATA_RULES,
        *FEEDBACK_DATA_RULES,
        CLUSTER_RULE,
    )

    @model_validator(mode="before")
    @classmethod
    def _name_sources(cls, value: Any) -> Any:
        """Name the sources that have no name by their position, or the next number that is free."""
        sources = value.get("sources") if isinstance(value, Mapping) else None
        if not isinstance(sources, Sequence) or isinstance(sources, str):
            return value
        taken = [_given_name(source) for source in sources]
        named = []
        for index, source in enumerate(sources):
            name = next(name for name in (f"source-{number}" for number in count(index)) if name not in taken)
            named.append(fill(source, "name", name))
            if _given_name(source) is None:
                taken.append(name)
        return {**value, "sources": named}


def _given_name(source: Any) -> Any:
    if isinstance(source, Mapping):
        return source.get("name")
    return source.name if isinstance(source, Source) and "name" in source.model_fields_set else None
