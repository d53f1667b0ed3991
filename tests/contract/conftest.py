"""Kubeflow Pipelines for the contract: the double, or a real server where RUNWRIGHT_TEST_KFP_ENDPOINT names one.

RUNWRIGHT_TEST_KFP_ENDPOINT        address of the API server; the tests that need no faults then run against it
RUNWRIGHT_TEST_KFP_TOKEN_FILE      a token for it; RUNWRIGHT_TEST_KFP_CA_FILE: its authority
RUNWRIGHT_TEST_KFP_NAMESPACE       the namespace to use; setting it says that the server is in multi-user mode
RUNWRIGHT_TEST_KFP_SERVICE_ACCOUNT of the runs, default pipeline-runner
RUNWRIGHT_TEST_KFP_IMAGE           an image with a shell, default busybox:1.37
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import pytest

from runwright_operator.adapters.pipelines import PipelinesSettings
from tests.doubles.kfp.process import Double, running

_NAME = "RUNWRIGHT_TEST_KFP_"


@dataclass(frozen=True)
class Kfp:
    """A server under contract."""

    endpoint: str
    token_file: Path | None = None
    ca_file: Path | None = None
    namespace: str = ""
    service_account: str = "pipeline-runner"
    image: str = "busybox:1.37"
    real: bool = False

    def settings(self, **changes: Any) -> PipelinesSettings:
        return PipelinesSettings(
            **{
                "endpoint": self.endpoint,
                "token_file": self.token_file,
                "ca_file": self.ca_file,
                "multi_user": bool(self.namespace),
                **changes,
            }
        )

    def sdk(self) -> Any:
        """The generated client, as it comes."""
        configuration = kfp_server_api.Configuration(host=self.endpoint)
        configuration.retries = False
        if self.ca_file:
            configuration.ssl_ca_cert = str(self.ca_file)
        client = kfp_server_api.ApiClient(configuration)
        if self.token_file:
            client.set_default_header("Authorization", f"Bearer {self.token_file.read_text().strip()}")
        return client


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    with running(tmp_path_factory.mktemp("kfp"), "--pending", "0.1", "--grace", "1") as found:
        yield found


@pytest.fixture(scope="session")
def kfp(request: pytest.FixtureRequest) -> Kfp:
    endpoint = os.environ.get(f"{_NAME}ENDPOINT")
    if not endpoint:
        return Kfp(request.getfixturevalue("double").url)
    token, authority = (os.environ.get(f"{_NAME}{name}_FILE") for name in ("TOKEN", "CA"))
    return Kfp(
        endpoint=endpoint.rstrip("/"),
        token_file=Path(token) if token else None,
        ca_file=Path(authority) if authority else None,
        namespace=os.environ.get(f"{_NAME}NAMESPACE", ""),
        service_account=os.environ.get(f"{_NAME}SERVICE_ACCOUNT", "pipeline-runner"),
        image=os.environ.get(f"{_NAME}IMAGE", "busybox:1.37"),
        real=True,
    )


@pytest.fixture
def well(double: Double) -> Iterator[Double]:
    """The double, with its faults taken away afterwards."""
    yield double
    double.heal()


@pytest.fixture
def name() -> str:
    """A display name that no other run has."""
    return f"contract-{uuid.uuid4().hex[:12]}"
