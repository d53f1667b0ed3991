"""One bucket of Google Cloud Storage. Credentials come from the environment (GOOGLE_*).

A service account's key is taken as text (GOOGLE_SERVICE_ACCOUNT_KEY), so that it never lies on a disk. Without one,
Google's own order holds: GOOGLE_APPLICATION_CREDENTIALS, the login of gcloud, the identity of the machine or pod.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obstore.store import GCSStore

from runwright_components.storage.objects import Cures, ObjectStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, GCSConfig, RetryConfig

_KEY = "GOOGLE_SERVICE_ACCOUNT_KEY"


class GcsBucket(ObjectStore):
    """A bucket of Google Cloud Storage."""

    scheme = "gs"
    cures = Cures(
        missing="check bucket and key",
        denied=f"check {_KEY}, and that the account has the role Storage Object Viewer on the bucket",
        no_credentials=f"set {_KEY} to the JSON of a service account's key (GOOGLE_SKIP_SIGNATURE=true for a public"
        " bucket)",
    )

    def __init__(self, name: str, *, endpoint: str | None = None, timeout: float = 30.0) -> None:
        super().__init__(name, endpoint=endpoint or os.environ.get("GOOGLE_BASE_URL") or "", timeout=timeout)

    def _client(self, endpoint: str, options: ClientConfig, retries: RetryConfig) -> GCSStore:
        config: GCSConfig = {"base_url": endpoint} if endpoint else {}
        return GCSStore(self.name, config=config, client_options=options, retry_config=retries)
