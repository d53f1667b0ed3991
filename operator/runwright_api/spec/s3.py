"""`s3`: objects in S3, for every kind of source that may lie there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runwright_api.part import Part
from runwright_api.spec.shared import SecretRef
from runwright_api.text import HttpUrl, S3Uri, Word


class S3Source(Part):
    """Objects in S3, or in a store that speaks its protocol."""

    uri: S3Uri
    """An object, or a prefix that ends in '/'."""
    endpoint: HttpUrl | None = None
    """Address of an S3-compatible server. Default: AWS."""
    region: Annotated[Word | None, Field(max_length=64)] = None
    """Region of the bucket. Default: AWS_REGION."""
    secret_ref: SecretRef | None = None
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for a cluster; elsewhere the environment has them."""
