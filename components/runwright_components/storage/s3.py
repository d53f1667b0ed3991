"""One bucket of S3-compatible object storage. Credentials come from the environment (AWS_*)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obstore.store import S3Store

from runwright_components.storage.objects import Cures, ObjectStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config


class Bucket(ObjectStore):
    """A bucket of S3."""

    scheme = "s3"
    cures = Cures(
        missing="check bucket, key, endpoint and region",
        denied="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read (or write) there",
        no_credentials="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket)",
    )

    def __init__(self, name: str, *, endpoint: str | None, region: str | None, timeout: float = 30.0) -> None:
        self._region = region
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        super().__init__(name, endpoint=endpoint, timeout=timeout)

    def _client(self, endpoint: str, options: ClientConfig, retries: RetryConfig) -> S3Store:
        config: S3Config = {}
        if endpoint:
            config["endpoint"] = endpoint
        if self._region:
            config["region"] = self._region
        return S3Store(self.name, config=config, client_options=options, retry_config=retries)
