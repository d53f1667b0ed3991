"""One container of Azure Blob Storage. Account and credentials come from the environment (AZURE_STORAGE_*)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obstore.store import AzureStore

from runwright_components.contract.outcome import Reason
from runwright_components.storage.objects import Cures, ObjectStore

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, RetryConfig

_ACCOUNT, _KEY = "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"
_WAYS = f"{_KEY}, or AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_CLIENT_ID, _CLIENT_SECRET and _TENANT_ID"


class AzureContainer(ObjectStore):
    """A container of one storage account."""

    scheme = "az"
    cures = Cures(
        missing="check account, container and blob",
        denied=f"check the account's name and its key or token ({_KEY}, ...), and that it may read there",
        no_credentials=f"set {_WAYS} (AZURE_SKIP_SIGNATURE=true for a public container)",
    )

    def __init__(
        self, name: str, *, account: str | None = None, endpoint: str | None = None, timeout: float = 30.0
    ) -> None:
        """Raises StageError (InvalidConfig) when no account is named."""
        self._account = account or os.environ.get(_ACCOUNT)
        self.name = name
        if not self._account:
            raise self._error(
                Reason.INVALID_CONFIG, "", "no storage account is named", f"set azure.account, or {_ACCOUNT}"
            )
        given = endpoint or os.environ.get("AZURE_STORAGE_ENDPOINT") or os.environ.get("AZURE_ENDPOINT") or ""
        super().__init__(name, endpoint=given, timeout=timeout)

    def _client(self, endpoint: str, options: ClientConfig, retries: RetryConfig) -> AzureStore:
        config: AzureConfig = {"account_name": self._account or ""}
        if endpoint:
            config["endpoint"] = endpoint
        return AzureStore(self.name, config=config, client_options=options, retry_config=retries)
