"""`spec.data`: where the raw data come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runwright_api.part import Lax, Part, Path, Rule, fill
from runwright_api.spec.shared import SecretRef
from runwright_api.text import (
    AzureUri,
    Character,
    EnvName,
    FilePath,
    GcsUri,
    HeaderName,
    HttpUrl,
    Lines,
    ObjectName,
    S3Uri,
    SourceName,
    Text,
    Word,
)

Format = Literal["csv", "json", "jsonl", "parquet", "images", "text"]


class HttpSource(Part):
    """A file behind HTTP or HTTPS."""

    url: HttpUrl
    """Address of the file, without credentials."""
    headers_from: Annotated[dict[HeaderName, EnvName], Field(max_length=16)] = Field(default={})
    """Request headers: header name to the environment variable that holds its value."""
    secret_ref: SecretRef | None = None
    """Secret whose keys become those environment variables. Used in a cluster only."""


class S3Source(Part):
    """Objects in S3, or in a store that speaks its protocol."""

    uri: S3Uri
    """An object, or a prefix that ends in '/'."""
    endpoint: HttpUrl | None = None
    """Address of an S3-compatible server. Default: AWS."""
    region: Annotated[Word | None, Field(max_length=64)] = None
    """Region of the bucket. Default: AWS_REGION."""
    secret_ref: SecretRef | None = None
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for a cluster; elsewhere the environment has them."""


class GcsSource(Part):
    """Objects in Google Cloud Storage."""

    uri: GcsUri
    """An object, or a prefix that ends in '/'."""
    secret_ref: SecretRef | None = None
    """Secret with the service account's key."""


class AzureSource(Part):
    """Blobs in Azure Blob Storage."""

    uri: AzureUri
    """A blob, or a prefix that ends in '/'."""
    secret_ref: SecretRef | None = None
    """Secret with the account's credentials."""


class SqlSource(Part):
    """The result of a query to a SQL database."""

    dialect: Literal["postgresql", "mysql", "sqlite", "mssql", "snowflake", "bigquery"]
    """Kind of the database."""
    query: Annotated[Lines, Field(min_length=1)]
    """The SELECT statement whose rows are read."""
    secret_ref: SecretRef
    """Secret whose key `uri` holds the connection's address, with its credentials."""


class LogSource(Part):
    """Lines of log files, cut into columns."""

    path: FilePath
    """File, folder or glob pattern of the logs."""
    pattern: Text
    """Regular expression with named groups; each group is a column."""


class HuggingFaceSource(Part):
    """A dataset of the Hugging Face Hub."""

    dataset: Text
    """Name of the dataset, for example stanfordnlp/imdb."""
    config: Word | None = None
    """Configuration of the dataset."""
    split: Word | None = None
    """Split to read. Default: all of them."""
    revision: Word | None = None
    """Commit, tag or branch. Give a commit to make runs repeatable."""
    secret_ref: SecretRef | None = None
    """Secret whose key HF_TOKEN opens private datasets."""


class PvcSource(Part):
    """Files on a PersistentVolumeClaim of the same namespace."""

    claim_name: ObjectName
    """Name of the claim."""
    path: FilePath = "."
    """File, folder or glob pattern inside the volume. Default: all of it."""


class SyntheticSource(Part):
    """Rows made by a generator, to try a pipeline without data."""

    kind: Literal["classification", "regression", "images", "text"]
    """What is made."""
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1000
    """How many rows. Default: 1000."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the generator. Default: 0."""


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


PLACES = ("path", "http", "s3", "gcs", "azure", "sql", "logs", "huggingFace", "pvc", "synthetic")
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
    """Objects in Google Cloud Storage. Not available yet."""
    azure: AzureSource | None = None
    """Blobs in Azure. Not available yet."""
    sql: SqlSource | None = None
    """A SQL query. Not available yet."""
    logs: LogSource | None = None
    """Log files. Not available yet."""
    hugging_face: HuggingFaceSource | None = None
    """A dataset of the Hugging Face Hub. Not available yet."""
    pvc: PvcSource | None = None
    """Files on a PersistentVolumeClaim. Not available yet."""
    synthetic: SyntheticSource | None = None
    """Generated rows. Not available yet."""
    format: Format | None = None
    """Format of the files. Default: by their extension."""
    csv: CsvOptions = CsvOptions()
    """How CSV files are written."""

    rules = (
        Rule(
            message="exactly one of " + ", ".join(PLACES) + " says where a source is",
            broken=_places_at_fault,
            cel="[" + ", ".join(f"has(self.{place})" for place in PLACES) + "].filter(given, given).size() == 1",
            cure="give one of them; several places are several sources",
        ),
    )


def _repeated_names(data: DataSpec) -> list[Path]:
    names = [source.name for source in data.sources]
    return [("sources", index, "name") for index, name in enumerate(names) if name in names[:index]]


class DataSpec(Part):
    """Where the raw data come from."""

    engine: Literal["local", "spark", "ray"] = "local"
    """What reads and prepares them. Default: local, Polars on one node. spark and ray are not available yet."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=16), Lax] = ()
    """The places to read from; their rows are put one below the other."""
    max_rows: Annotated[int | None, Field(ge=1, le=2**53)] = None
    """Read at most this many rows, to try things out. Default: all."""

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
