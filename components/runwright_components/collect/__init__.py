"""Read sources (files, HTTP, S3) into raw data: rows in the source's own form, as Parquet, with a digest.

Memory is bounded: tables stream through Polars, class folders are written in shards, remote files go to disk first.
"""

from runwright_components.collect.fingerprints import fingerprint
from runwright_components.collect.stage import collect, left_for_the_next

__all__ = ["collect", "fingerprint", "left_for_the_next"]
