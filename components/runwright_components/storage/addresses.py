"""URLs as they may be shown, and S3 addresses."""

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


@dataclass(frozen=True, slots=True)
class S3Address:
    """`s3://bucket/key`; the key has no leading slash and may be empty, a prefix or a pattern."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Address:
        """Raises StageError (InvalidConfig) when `uri` names no bucket."""
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme.lower() != "s3" or not bucket or "@" in bucket:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"{public_url(uri)} is no address of object storage",
                cure="write s3://BUCKET/KEY; credentials come from the environment (AWS_ACCESS_KEY_ID, ...)",
            )
        return cls(bucket, key.lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
