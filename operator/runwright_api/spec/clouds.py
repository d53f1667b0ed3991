"""`spec.data.sources[].gcs` and `.azure`: objects in the stores of Google and Microsoft."""

from __future__ import annotations

from runwright_api.part import Part
from runwright_api.spec.shared import SecretRef
from runwright_api.text import AzureAccount, AzureUri, GcsUri, HttpUrl


class GcsSource(Part):
    """Objects in Google Cloud Storage."""

    uri: GcsUri
    """An object, a prefix that ends in '/', or a pattern."""
    endpoint: HttpUrl | None = None
    """Address of a server that speaks its protocol. Default: Google's."""
    secret_ref: SecretRef | None = None
    """Secret with GOOGLE_SERVICE_ACCOUNT_KEY (the JSON of the key), for a cluster; elsewhere the environment has it."""


class AzureSource(Part):
    """Blobs in Azure Blob Storage."""

    uri: AzureUri
    """A blob, a prefix that ends in '/', or a pattern."""
    account: AzureAccount | None = None
    """Name of the storage account. Default: AZURE_STORAGE_ACCOUNT_NAME."""
    endpoint: HttpUrl | None = None
    """Address of the account's blobs. Default: https://ACCOUNT.blob.core.windows.net."""
    secret_ref: SecretRef | None = None
    """Secret with AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_CLIENT_ID, _CLIENT_SECRET and
    _TENANT_ID, for a cluster; elsewhere the environment has them."""
