"""One bucket of S3-compatible object storage. Credentials come from the environment (AWS_*).

A step that reads sources may have AWS_* of theirs: the run's own storage then has its keys under a prefix.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obstore.store import S3Store

from runwright_components.storage.objects import Cures, ObjectStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential


class Bucket(ObjectStore):
    """A bucket of S3."""

    scheme = "s3"
    cures = Cures(
        missing="check bucket, key, endpoint and region",
        denied="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read (or write) there",
        no_credentials="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket)",
    )

    def __init__(
        self, name: str, *, endpoint: str | None, region: str | None, timeout: float = 30.0, prefix: str = ""
    ) -> None:
        """`prefix` stands before the names of the variables with the credentials; where it has none, AWS_* count."""
        self._region = region
        self._own = _credential(prefix) if prefix else None
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        super().__init__(name, endpoint=endpoint, timeout=timeout)

    def _client(self, endpoint: str, options: ClientConfig, retries: RetryConfig) -> S3Store:
        config: S3Config = {}
        if endpoint:
            config["endpoint"] = endpoint
        if self._region:
            config["region"] = self._region
        own = self._own
        provider = None if own is None else lambda: own
        return S3Store(
            self.name, config=config, client_options=options, retry_config=retries, credential_provider=provider
        )


def _credential(prefix: str) -> S3Credential | None:
    key = os.environ.get(f"{prefix}AWS_ACCESS_KEY_ID")
    if not key:
        return None
    return {
        "access_key_id": key,
        "secret_access_key": os.environ.get(f"{prefix}AWS_SECRET_ACCESS_KEY", ""),
        "token": os.environ.get(f"{prefix}AWS_SESSION_TOKEN") or None,
        "expires_at": None,
    }
