"""The kinds of text that a TrainingRun holds, each with its bounds.

Every user string is bounded, and holds neither control characters nor `{{`: Argo and KFP expand `{{...}}` wherever
they find it. Patterns are in the common subset of RE2 (the API server), Rust's regex (pydantic) and Python's re.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_NO_TEMPLATE = r"^(\{?[^{\x00-\x1f\x7f-\x9f])*\{?$"
_NO_TEMPLATE_LINES = r"^(\{?[^{\x00-\x08\x0b-\x1f\x7f-\x9f])*\{?$"
_RUN_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_CLAIM = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
_HTTP_URL = r"^https?://[^\s/@{}\x00-\x1f\x7f]+(/[^\s{}\x00-\x1f\x7f]*)?$"
_S3_URI = r"^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[^{}\x00-\x1f\x7f]*)?$"
_GCS_URI = r"^gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^{}\x00-\x1f\x7f]*)?$"
_AZURE_URI = r"^az://[a-z0-9][a-z0-9-]+(/[^{}\x00-\x1f\x7f]*)?$"
_AZURE_ACCOUNT = r"^[a-z0-9]{3,24}$"
_DATASET = r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?$"
_HUB_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_DURATION = r"^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$"
_FREQUENCY = r"^[1-9][0-9]{0,3}(s|m|h|d|w|mo|q|y)$"
_QUANTITY = r"^[0-9]{1,15}(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_CHARACTER = r"^[^{\x00-\x08\x0a-\x1f\x7f]$"
_PARAMETER = r"^[a-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*)*$"
_CRON = r"^(@(hourly|daily|weekly|monthly)|[0-9*,/-]+( [0-9A-Za-z*,/?#L-]+){4})$"
_IMAGE = r"^[a-z0-9]([a-z0-9._:/-]*[a-z0-9])?(:[A-Za-z0-9._-]+)?(@sha256:[a-f0-9]{64})?$"
_ENTRY_POINT = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_]*)?$"
_BROKERS = r"^[A-Za-z0-9][A-Za-z0-9._-]*:[0-9]{1,5}(,[A-Za-z0-9][A-Za-z0-9._-]*:[0-9]{1,5})*$"
_TOPIC = r"^[A-Za-z0-9._-]+$"
_INSTANT = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_SNAPSHOT = r"^[0-9]{1,19}$"
_SLICE = r"^(\{?[^={\x00-\x1f\x7f])+=(\{?[^{\x00-\x1f\x7f])*\{?$"

_TURNS_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")


def keeps_direction(text: str) -> str:
    """Refuse what makes a reviewer read another text than the machine does (CVE-2021-42574)."""
    if _TURNS_DIRECTION.search(text):
        raise PydanticCustomError("direction", "must not hold characters that turn the direction of text")
    return text


def _is_a_day(text: str) -> str:
    """Refuse the 31st of February, which no pattern tells."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError("instant", "is no day of the calendar") from None
    return text


_Visible = AfterValidator(keeps_direction)

Text = Annotated[str, Field(min_length=1, max_length=1024, pattern=_NO_TEMPLATE), _Visible]
"""One line of text."""
Word = Annotated[str, Field(max_length=256, pattern=_NO_TEMPLATE), _Visible]
"""A short piece of text, possibly empty."""
Lines = Annotated[str, Field(max_length=4096, pattern=_NO_TEMPLATE_LINES), _Visible]
"""Text of several lines."""
ColumnName = Annotated[str, Field(min_length=1, max_length=256, pattern=_NO_TEMPLATE), _Visible]
FilePath = Annotated[str, Field(min_length=1, max_length=1024, pattern=_NO_TEMPLATE), _Visible]
RunName = Annotated[str, Field(min_length=1, max_length=50, pattern=_RUN_NAME)]
SourceName = Annotated[str, Field(min_length=1, max_length=50, pattern=_RUN_NAME)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=_DNS_NAME)]
"""Name of a Kubernetes object of the same namespace."""
ClaimName = Annotated[str, Field(min_length=1, max_length=63, pattern=_CLAIM)]
"""Name of a PersistentVolumeClaim of the same namespace, which is also that of the pod's volume."""
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=_LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]
EnvName = Annotated[str, Field(min_length=1, max_length=128, pattern=_ENV_NAME)]
HeaderName = Annotated[str, Field(min_length=1, max_length=128, pattern=_HEADER)]
HttpUrl = Annotated[str, Field(max_length=2048, pattern=_HTTP_URL), _Visible]
S3Uri = Annotated[str, Field(max_length=1024, pattern=_S3_URI), _Visible]
GcsUri = Annotated[str, Field(max_length=1024, pattern=_GCS_URI), _Visible]
AzureUri = Annotated[str, Field(max_length=1024, pattern=_AZURE_URI), _Visible]
AzureAccount = Annotated[str, Field(max_length=24, pattern=_AZURE_ACCOUNT)]
DatasetName = Annotated[str, Field(min_length=1, max_length=193, pattern=_DATASET)]
"""Name of a dataset of the Hugging Face Hub: OWNER/NAME, or NAME."""
HubName = Annotated[str, Field(min_length=1, max_length=128, pattern=_HUB_NAME)]
"""Name of a configuration or a split of such a dataset."""
Brokers = Annotated[str, Field(max_length=1024, pattern=_BROKERS)]
"""Addresses of servers: HOST:PORT, several with commas between."""
TopicName = Annotated[str, Field(min_length=1, max_length=249, pattern=_TOPIC)]
"""Name of a topic of Kafka."""
Instant = Annotated[str, Field(max_length=40, pattern=_INSTANT), AfterValidator(_is_a_day)]
"""A moment with its zone, as RFC 3339 writes it."""
SnapshotId = Annotated[str, Field(max_length=19, pattern=_SNAPSHOT)]
"""Number of a snapshot of an Iceberg table: 63 bits, more than numbers of JSON are safe for."""
Duration = Annotated[str, Field(min_length=2, max_length=32, pattern=_DURATION)]
"""A span of time: 90s, 15m, 12h, 2d, 1h30m."""
Frequency = Annotated[str, Field(min_length=2, max_length=8, pattern=_FREQUENCY)]
"""The step of a time series: 15m, 1h, 1d, 1mo."""
Quantity = Annotated[str, Field(min_length=1, max_length=24, pattern=_QUANTITY)]
"""A Kubernetes quantity: 500m, 4, 16Gi."""
Character = Annotated[str, Field(min_length=1, max_length=1, pattern=_CHARACTER)]
ParameterName = Annotated[str, Field(min_length=1, max_length=64, pattern=_PARAMETER)]
"""A field of spec.train and its parts: learningRate, model.dropout."""
Cron = Annotated[str, Field(min_length=5, max_length=100, pattern=_CRON)]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=_IMAGE)]
EntryPoint = Annotated[str, Field(min_length=1, max_length=256, pattern=_ENTRY_POINT)]
"""A Python module, or a function of one: MODULE:FUNCTION."""
SliceName = Annotated[str, Field(min_length=3, max_length=256, pattern=_SLICE), _Visible]

_TEMPLATE_CURE = "remove '{{' and control characters; pipelines would expand or break on them"
_PATTERNS: dict[str, tuple[str, str]] = {
    _NO_TEMPLATE: ("text on one line without '{{' or control characters", _TEMPLATE_CURE),
    _NO_TEMPLATE_LINES: ("text without '{{' or control characters", _TEMPLATE_CURE),
    _RUN_NAME: ("lowercase letters, digits and '-', starting with a letter", "for example: churn-model-2"),
    _DNS_NAME: (
        "the name of a Kubernetes object: lowercase letters, digits, '-' and '.'",
        "give the name alone; the object must be in the TrainingRun's own namespace",
    ),
    _CLAIM: (
        "the name of a claim: lowercase letters, digits and '-', at most 63",
        "Kubeflow Pipelines names the pod's volume like the claim, so dots cannot be",
    ),
    _LABEL_KEY: ("a Kubernetes label key", "for example: nvidia.com/gpu.product"),
    _LABEL_VALUE: ("a Kubernetes label value: letters, digits, '-', '_' and '.'", ""),
    _ENV_NAME: ("the name of an environment variable", "for example: API_TOKEN; the value never goes into the YAML"),
    _HEADER: ("the name of an HTTP header", "for example: Authorization"),
    _HTTP_URL: (
        "an http:// or https:// address without user, password, blanks or braces",
        "pass credentials with headersFrom, and write blanks and braces percent-encoded",
    ),
    _S3_URI: ("an S3 address", "for example: s3://bucket/folder/"),
    _GCS_URI: ("a Google Cloud Storage address", "for example: gs://bucket/folder/"),
    _AZURE_URI: ("an Azure Blob Storage address", "for example: az://container/folder/"),
    _AZURE_ACCOUNT: ("the name of an Azure storage account: 3 to 24 lowercase letters and digits", ""),
    _DATASET: ("the name of a dataset of the Hugging Face Hub", "for example: stanfordnlp/imdb"),
    _HUB_NAME: ("the name of a configuration or split: letters, digits, '_', '-' and '.'", "for example: train"),
    _BROKERS: ("addresses of brokers, HOST:PORT", "for example: kafka-1.example.com:9092,kafka-2.example.com:9092"),
    _TOPIC: ("the name of a topic: letters, digits, '.', '_' and '-'", "for example: orders.v1"),
    _INSTANT: ("a moment with its zone", "for example: 2026-01-31T00:00:00Z"),
    _SNAPSHOT: ("the number of a snapshot", 'in quotes, for example: "6215112342342342000"'),
    _DURATION: ("a span of time in d, h, m and s", "for example: 90s, 15m, 12h or 1h30m"),
    _FREQUENCY: ("a step of s, m, h, d, w, mo, q or y", "for example: 15m, 1h, 1d or 1mo (a month)"),
    _QUANTITY: ("a Kubernetes quantity", 'for example: "4", 500m or 16Gi'),
    _CHARACTER: ("one character", 'for example: ";" or "\\t"'),
    _PARAMETER: ("a field of spec.train", "for example: learningRate or model.dropout"),
    _CRON: ("a cron schedule of five fields", 'for example: "0 3 * * 1" or "@daily"'),
    _IMAGE: ("a container image", "for example: ghcr.io/acme/train:1.2@sha256:..."),
    _ENTRY_POINT: ("a Python module, or MODULE:FUNCTION", "for example: churn.train or churn.train:main"),
    _SLICE: ("a slice, written column=value", "for example: island=Biscoe"),
}


def explain(pattern: str) -> tuple[str, str]:
    """What a text of this pattern is, in words, and a cure for one that is not."""
    return _PATTERNS.get(pattern, (f"text that matches {pattern}", ""))


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def seconds(duration: str) -> int:
    """Length of a `Duration` in seconds."""
    total, digits = 0, ""
    for character in duration:
        if character.isdigit():
            digits += character
        else:
            total += int(digits) * _UNITS[character]
            digits = ""
    return total
