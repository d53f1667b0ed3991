"""Secrets of sources in the clouds and on the hub are in the environment of the step that reads."""

from typing import Any

import pytest

from runwright_pipelines.compiling import pipeline_spec
from runwright_pipelines.lowering import lower
from runwright_pipelines.secrets import AZURE_KEYS, clashes, with_secrets

from .test_secrets import executors, run


@pytest.mark.parametrize(
    ("place", "keys", "optional"),
    [
        ({"gcs": {"uri": "gs://data/a.csv"}}, ("GOOGLE_SERVICE_ACCOUNT_KEY",), False),
        ({"azure": {"uri": "az://data/a.csv", "account": "acme"}}, AZURE_KEYS, True),
        ({"huggingFace": {"dataset": "acme/reviews"}}, ("HF_TOKEN",), False),
    ],
    ids=["gcs", "azure", "hub"],
)
def test_the_step_that_reads_gets_the_keys(place: dict[str, Any], keys: tuple[str, ...], optional: bool) -> None:
    ((kind, given),) = place.items()
    made = run({kind: {**given, "secretRef": {"name": "cloud"}}})
    (found,) = executors(with_secrets(pipeline_spec(made), made, None)).values()
    (secret,) = found["secretAsEnv"]
    assert (secret["secretName"], secret["optional"]) == ("cloud", optional)
    assert tuple(one["envVar"] for one in secret["keyToEnv"]) == keys
    assert "cloud" not in lower(made).collect.canonical()


def test_two_accounts_from_two_secrets_are_a_clash() -> None:
    azure = [
        {"name": name, "azure": {"uri": f"az://{name}{name}{name}/", "secretRef": {"name": name}}} for name in "ab"
    ]
    told = next(clashes(run(*azure)))
    assert told.startswith("spec.data.sources[1]: AZURE_STORAGE_ACCOUNT_NAME comes from the Secret a already")


def test_where_the_clouds_are_is_told_to_the_stage() -> None:
    made = run(
        {"name": "a", "gcs": {"uri": "gs://data/x/", "endpoint": "https://storage.example.com"}},
        {"name": "b", "azure": {"uri": "az://data/x/*.csv", "account": "acme"}},
    )
    one, two = lower(made).collect.sources
    assert (one.uri, one.endpoint) == ("gs://data/x/", "https://storage.example.com")
    assert (two.uri, two.account, two.endpoint) == ("az://data/x/*.csv", "acme", None)
