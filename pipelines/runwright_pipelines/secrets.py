"""Which steps get which Secrets as environment variables, and which volumes; pure. Values never pass through here, nor
through parameters.

KFP takes this as the platform specification that travels beside a pipeline (SecretAsEnv, PvcMount of kfp-kubernetes).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from runwright_api.trainingrun import TrainingRun
from runwright_components.contract.brokers import LOGIN_KEYS, TLS_KEYS, broker_variable
from runwright_components.contract.cluster import STORAGE_PREFIX
from runwright_components.contract.databases import SECRET_KEY, address_variable
from runwright_components.contract.tuning import STUDY_URL_ENV
from runwright_components.contract.volumes import mount_path

S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
S3_OPTIONAL_KEYS = ("AWS_SESSION_TOKEN",)
LINEAGE_KEYS = ("OPENLINEAGE_API_KEY",)
AZURE_KEYS = (  # one of several ways to log in
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
)

# Of each kind of source: the keys that its Secret has, and those that it may have.
_KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "s3": (S3_KEYS, S3_OPTIONAL_KEYS),
    "gcs": (("GOOGLE_SERVICE_ACCOUNT_KEY",), ()),
    "azure": ((), AZURE_KEYS),
    "hugging_face": (("HF_TOKEN",), ()),
}
_OPTIONAL = {key for _, optional in _KEYS.values() for key in optional}

_READS_SOURCES = {"data", "collect"}
_SEARCHES = {"model", "train"}
_WITHOUT_LINEAGE = {"register", "deploy"}
_LEAVES = {"data", "collect", "prepare"}  # files for the next revision, in storage
_USES_STORAGE = {"model", "train", "register", "deploy"}  # deploy reads what it is to serve


def with_secrets(
    pipeline: Mapping[str, Any], run: TrainingRun, storage_secret: str | None, lineage_secret: str | None = None
) -> dict[str, Any]:
    """What KFP is handed: the pipeline alone, or together with the Secrets and volumes that its steps need.

    `lineage_secret` may be missing in a namespace: a pod that waits for it would never start.
    """
    executors: dict[str, Any] = {}
    own_files = run.spec.train.environment is not None and run.spec.train.environment.file is not None
    for name in pipeline["deploymentSpec"]["executors"]:
        step = name.removeprefix("exec-")
        wanted = [*_of_sources(run), *_address_secrets(run), *_broker_secrets(run)] if step in _READS_SOURCES else []
        if storage_secret is not None and (step in _USES_STORAGE or (step in _READS_SOURCES and own_files)):
            wanted += [_secret(storage_secret, S3_KEYS), _secret(storage_secret, S3_OPTIONAL_KEYS, optional=True)]
        if storage_secret is not None and step in _LEAVES and run.spec.data.sources:
            wanted += [_beside(storage_secret, S3_KEYS), _beside(storage_secret, S3_OPTIONAL_KEYS, optional=True)]
        if lineage_secret is not None and step not in _WITHOUT_LINEAGE:
            wanted.append(_secret(lineage_secret, LINEAGE_KEYS, optional=True))
        if step in _SEARCHES and (study := _study_secret(run)) is not None:
            wanted.append(study)
        mounts = _volumes(run) if step in _READS_SOURCES else []
        if found := {**({"secretAsEnv": wanted} if wanted else {}), **({"pvcMount": mounts} if mounts else {})}:
            executors[name] = found
    if not executors:
        return dict(pipeline)
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    return {"pipeline_spec": dict(pipeline), "platform_spec": platform}


def _volumes(run: TrainingRun) -> list[dict[str, Any]]:
    """The claims of sources, each mounted once. KFP knows no mount that is read only; nothing writes there."""
    claims = dict.fromkeys(source.pvc.claim_name for source in run.spec.data.sources if source.pvc is not None)
    return [
        {
            "constant": claim,
            "pvcNameParameter": {"runtimeValue": {"constant": claim}},
            "mountPath": mount_path(claim),
        }
        for claim in claims
    ]


def clashes(run: TrainingRun) -> Iterator[str]:
    """Places where two sources want the same environment variable from different Secrets."""
    given: dict[str, str] = {}
    for index, source in enumerate(run.spec.data.sources):
        for variable, secret in _variables(source):
            if given.setdefault(variable, secret) != secret:
                yield (
                    f"spec.data.sources[{index}]: {variable} comes from the Secret {given[variable]} already;"
                    " put both into one Secret, or name one variable otherwise"
                )


def _of_sources(run: TrainingRun) -> Iterator[dict[str, Any]]:
    by_secret: dict[str, dict[str, None]] = {}
    for source in run.spec.data.sources:
        for variable, secret in _variables(source):
            by_secret.setdefault(secret, {})[variable] = None
    for secret, variables in by_secret.items():
        if needed := tuple(one for one in variables if one not in _OPTIONAL):
            yield _secret(secret, needed)
        if possible := tuple(one for one in variables if one in _OPTIONAL):
            yield _secret(secret, possible, optional=True)


def _address_secrets(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """Each SQL source's address, in a variable of its own: Secrets of several databases have the same key."""
    for source in run.spec.data.sources:
        if source.sql is not None and source.sql.secret_ref is not None:
            keys = [{"secretKey": SECRET_KEY, "envVar": address_variable(source.name)}]
            yield {**_secret(source.sql.secret_ref.name, ()), "keyToEnv": keys}


def _broker_secrets(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """User, password and certificates of each Kafka source, in variables of its own."""
    for source in run.spec.data.sources:
        if source.kafka is None or source.kafka.secret_ref is None:
            continue
        name = source.kafka.secret_ref.name
        if source.kafka.sasl is not None:
            yield {**_secret(name, ()), "keyToEnv": _broker_variables(source.name, LOGIN_KEYS)}
        if source.kafka.tls:
            yield {**_secret(name, (), optional=True), "keyToEnv": _broker_variables(source.name, TLS_KEYS)}


def _broker_variables(source: str, keys: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"secretKey": key, "envVar": broker_variable(source, key)} for key in keys]


def _variables(source: Any) -> Iterator[tuple[str, str]]:
    """Environment variables that a source reads, each with the Secret that it comes from."""
    if source.http is not None and source.http.secret_ref is not None:
        for variable in source.http.headers_from.values():
            yield variable, source.http.secret_ref.name
    places = {kind: getattr(source, kind) for kind in _KEYS}
    if source.logs is not None:
        places = {"s3": source.logs.s3}
    if source.feedback is not None:
        places = {"s3": source.feedback.predictions.s3}
    for kind, place in places.items():
        if place is not None and place.secret_ref is not None:
            for variable in itertools.chain(*_KEYS[kind]):
                yield variable, place.secret_ref.name


def _study_secret(run: TrainingRun) -> dict[str, Any] | None:
    """The address of the database that keeps the study of a search."""
    tune = run.spec.tune
    if tune is None or tune.storage is None:
        return None
    found = _secret(tune.storage.secret_ref.name, ())
    return {**found, "keyToEnv": [{"secretKey": "url", "envVar": STUDY_URL_ENV}]}


def _beside(name: str, keys: tuple[str, ...], *, optional: bool = False) -> dict[str, Any]:
    """A Secret of the storage under variables of its own, for a step whose AWS_* are the sources'."""
    names = [{"secretKey": key, "envVar": f"{STORAGE_PREFIX}{key}"} for key in keys]
    return {**_secret(name, (), optional=optional), "keyToEnv": names}


def _secret(name: str, keys: tuple[str, ...], *, optional: bool = False) -> dict[str, Any]:
    return {
        "secretName": name,
        "secretNameParameter": {"runtimeValue": {"constant": name}},
        "keyToEnv": [{"secretKey": key, "envVar": key} for key in keys],
        "optional": optional,
    }
