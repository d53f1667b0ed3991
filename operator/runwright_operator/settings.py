"""Settings of the operator, from environment variables RUNWRIGHT_*. `--help` lists them."""

from __future__ import annotations

import difflib
import re
import socket
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

PREFIX = "RUNWRIGHT_"

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_HOME = "runwright-system"


class SettingsError(Exception):
    """Settings that cannot work. `problems` name the variable and the cure, one each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _endpoint(value: str) -> str:
    address = urlsplit(value)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("is not an address; write it like http://host:port")
    if address.username or address.password:
        raise ValueError("must hold no user or password; they belong into a Secret")
    return value.rstrip("/")


def _storage(value: str) -> str:
    if not re.match(r"^(s3|file)://.", value):
        raise ValueError("must be s3://bucket/prefix, or file:///folder on a single node")
    return value.rstrip("/")


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", value):
        raise ValueError("is not a name of Kubernetes; use lower-case letters, digits and -")
    return value


def _place(value: str) -> str:
    if re.fullmatch(r"[0-9.]+(/[0-9]+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/[0-9]+)?", value):
        try:
            return str(ip_network(value))
        except ValueError:
            raise ValueError("is no network; write it like 10.20.0.0/16, with the bits of the host zero") from None
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9_])?", value):
        raise ValueError(
            "holds what is no host, domain or network; write host.example.com, *.example.com or 10.0.0.0/8"
        )
    return value.lower()


def _words(value: Any) -> Any:
    return (
        tuple(dict.fromkeys(word for word in value.replace(",", " ").split() if word))
        if isinstance(value, str)
        else value
    )


_Url = Annotated[str, AfterValidator(_endpoint)]
_Name = Annotated[str, AfterValidator(_name)]
_Place = Annotated[str, AfterValidator(_place)]
_Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
_Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]


class Settings(BaseModel):
    """What an administrator sets. A variable that is empty counts as not given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    # What to look after
    namespaces: Annotated[tuple[_Name, ...], BeforeValidator(_words)] = ()
    """Namespaces whose TrainingRuns are looked after, separated by commas; empty: all."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """TrainingRuns that are worked on at the same time."""
    relist_seconds: _Seconds = 300.0
    """How often everything is listed anew, to find what a watch missed."""

    # One writer at a time
    leader_election: bool = True
    """Work only while holding a Lease, so that a second replica takes over in seconds and never writes meanwhile."""
    pod_name: str = Field(default_factory=socket.gethostname)
    """Name of this replica in the Lease."""
    pod_namespace: _Name = Field(default_factory=lambda: _own_namespace())
    """Namespace of the operator."""
    lease_name: _Name = "runwright-operator"
    """Name of the Lease."""
    lease_namespace: str = ""
    """Namespace of the Lease; empty: the operator's own."""
    lease_duration_seconds: _Seconds = 15.0
    """How long a leader that is not heard of is waited for."""
    lease_renew_seconds: _Seconds = 10.0
    """How long a leader that cannot renew goes on; must be shorter than that."""
    lease_retry_seconds: _Seconds = 2.0
    """How often the Lease is renewed or asked for."""

    # Health, metrics, logs
    http_host: str = "0.0.0.0"  # noqa: S104 (a pod is probed from outside)
    """Address that health and metrics listen on."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of /healthz, /readyz and /metrics; 0: any free one."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(lambda value: str(value).lower())
    ] = "info"
    """debug, info, warning or error."""
    log_format: Literal["json", "text", "auto"] = "auto"
    """json: one object a line; text: for people; auto: text on a terminal, json elsewhere."""

    # Kubeflow Pipelines
    pipelines_endpoint: _Url = "http://ml-pipeline.kubeflow.svc:8888"
    """Address of the Kubeflow Pipelines API."""
    pipelines_page: _Url | None = None
    """Address of its page, for links; empty: no links."""
    pipelines_token_file: Path | None = None
    """File with a token for it (audience pipelines.kubeflow.org)."""
    pipelines_ca_file: Path | None = None
    """File with the certificates to trust for it, instead of the public ones."""
    pipelines_multi_user: bool = False
    """Kubeflow with profiles: runs belong to the namespace of their TrainingRun."""
    pipelines_timeout_seconds: _Seconds = 10.0
    """Longest silence of Kubeflow Pipelines within a request."""

    # What runs are made of
    run_service_account: _Name = "runwright-run"
    """ServiceAccount of pipeline steps, in the namespace of the TrainingRun."""
    components_image: str = ""
    """Image of pipeline steps."""
    train_image: str = ""
    """Image of training pods; empty: that of the steps."""
    train_gpu_image: str = ""
    """Image of training pods with GPUs; empty: that of the others."""
    serve_image: str = ""
    """Image of model servers; empty: that of the steps."""
    train_cpu: _Quantity | None = None
    """CPU of a training pod when the TrainingRun does not say; empty: no request."""
    train_memory: _Quantity | None = None
    """Memory of a training pod when the TrainingRun does not say."""
    serve_cpu: _Quantity | None = "500m"
    """CPU of a model server when the TrainingRun does not say."""
    serve_memory: _Quantity | None = "1Gi"
    """Memory of a model server when the TrainingRun does not say."""

    sources_allowed: Annotated[tuple[_Place, ...], BeforeValidator(_words)] = ()
    """Hosts, domains and networks that http sources may reach though they are not public, separated by commas:
    data.example.com, *.corp.example.com, 10.20.0.0/16. Loopback, private and link-local addresses are refused else."""
    openlineage_url: _Url | None = None
    """Server that every step tells its lineage; empty: none."""
    openlineage_secret: _Name | None = None
    """Name of a Secret with OPENLINEAGE_API_KEY for it, in each namespace with TrainingRuns."""

    # Where artifacts, checkpoints and packages go when a TrainingRun does not say
    storage_uri: Annotated[str, AfterValidator(_storage)] | None = None
    """s3://bucket/prefix."""
    storage_endpoint: _Url | None = None
    """Address of the object store; empty: the cloud's own."""
    storage_region: str | None = None
    """Region of the object store."""
    storage_secret: _Name | None = None
    """Name of a Secret with its credentials, in each namespace with TrainingRuns."""

    @model_validator(mode="after")
    def _times_fit(self) -> Settings:
        if not self.lease_retry_seconds < self.lease_renew_seconds < self.lease_duration_seconds:
            raise ValueError("LEASE_RETRY_SECONDS < LEASE_RENEW_SECONDS < LEASE_DURATION_SECONDS must hold")
        return self

    @property
    def lease_home(self) -> str:
        return self.lease_namespace or self.pod_namespace


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip() or _HOME
    except OSError:
        return _HOME


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment; raises SettingsError with every problem in it."""
    values = {name: environment.get(variable(name), "").strip() for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        raise SettingsError(tuple(_problem(detail) for detail in error.errors(include_url=False))) from None


def unknown_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """A hint for each variable with our prefix that no setting has: a slip of the pen, most likely."""
    known = [variable(name) for name in Settings.model_fields]
    hints = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hints.append(f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    return tuple(hints)


def variable(field: str) -> str:
    """Name of a setting's environment variable."""
    return PREFIX + field.upper()


def describe() -> str:
    """All settings with their defaults, for people."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = _shown(field.default) if not field.default_factory else ""
        lines += [f"  {variable(name)}{default}", f"      {field.description}"]
    return "\n".join(lines)


def _shown(default: Any) -> str:
    match default:
        case None | "" | ():
            return ""
        case bool():
            return f" [{str(default).lower()}]"
        case float():
            return f" [{default:g}]"
        case _:
            return f" [{default}]"


def _problem(detail: Any) -> str:
    """The value is left out: it may be a secret that was put into the wrong variable."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    field = str(detail["loc"][0])
    cure = Settings.model_fields[field].description if field in Settings.model_fields else ""
    return f"{variable(field)}: {message[:1].lower()}{message[1:]}. It sets: {cure}"
