"""URLs as they may be shown, and addresses of object storage."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from runwright_components.contract.outcome import Reason, StageError


def public_url(url: str) -> str:
    """The URL without what may be secret: user, password, query (signatures, tokens) and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the address"
    if not parts.scheme or not parts.netloc:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


_CREDENTIALS = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_SERVICE_ACCOUNT_KEY", "az": "AZURE_STORAGE_ACCOUNT_KEY"}


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """`SCHEME://bucket/key` of s3, gs (Google) or az (Azure); the key has no leading slash and may be empty, a prefix
    or a pattern."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str, *, scheme: str | None = None) -> ObjectAddress:
        """Raises StageError (InvalidConfig) when `uri` names no bucket, or is not of `scheme`."""
        found, _, rest = uri.partition("://")
        found = found.lower()
        bucket, _, key = rest.partition("/")
        if found not in ((scheme,) if scheme else _CREDENTIALS) or not bucket or "@" in bucket:
            wanted = scheme or (found if found in _CREDENTIALS else "s3")
            source = f"the environment ({_CREDENTIALS[wanted]}, ...)"
            raise StageError(
                Reason.INVALID_CONFIG,
                f"{public_url(uri)} is no address of object storage",
                cure=f"write {wanted}://BUCKET/KEY; credentials come from {source}",
            )
        return cls(found, bucket, key.lstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class S3Address:
    """`s3://bucket/key`; the key has no leading slash and may be empty, a prefix or a pattern."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Address:
        """Raises StageError (InvalidConfig) when `uri` names no bucket."""
        found = ObjectAddress.parse(uri, scheme="s3")
        return cls(found.bucket, found.key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
