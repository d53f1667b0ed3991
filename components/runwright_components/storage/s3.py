"""One bucket of S3-compatible object storage, through obstore. Credentials come from the environment (AWS_*)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from runwright_components.contract.outcome import Reason, StageError

if TYPE_CHECKING:
    from obstore.store import S3Config

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_CHUNK = 4 << 20
_METADATA_SERVICE = "169.254.169.254"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    size: int
    etag: str
    modified: str


class Bucket:
    """Typed operations on one bucket. Every failure is a StageError whose place is `s3://bucket/key`."""

    def __init__(self, name: str, *, endpoint: str | None, region: str | None, timeout: float = 30.0) -> None:
        self.name = name
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        config: S3Config = {}
        if endpoint:
            config["endpoint"] = endpoint
        if region:
            config["region"] = region
        with self._errors(""):
            self._store = S3Store(
                name,
                config=config,
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=timeout),
                    "read_timeout": timedelta(seconds=timeout),
                    "timeout": timedelta(days=1),  # of a whole body, however large
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=4 * timeout)},
            )

    def info(self, key: str) -> ObjectInfo | None:
        """The object at exactly this key, or None."""
        try:
            with self._errors(key):
                return _info(obstore.head(self._store, key))
        except StageError as error:
            if error.reason is Reason.SOURCE_NOT_FOUND:
                return None
            raise

    def objects(self, prefix: str) -> list[ObjectInfo]:
        """All objects under the folder `prefix`, sorted by key; folder markers are left out."""
        with self._errors(prefix):
            found = [_info(meta) for batch in obstore.list(self._store, prefix or None) for meta in batch]
        return sorted((info for info in found if not info.key.endswith("/")), key=lambda info: info.key)

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under the folder `prefix`."""
        with self._errors(prefix):
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def read(self, key: str) -> bytes:
        """A small object's content."""
        with self._errors(key):
            return bytes(obstore.get(self._store, key).bytes())

    def download(self, key: str, target: Path, *, on_bytes: Callable[[int], None]) -> None:
        """Stream an object to a file."""
        with self._errors(key), target.open("wb") as file:
            result = obstore.get(self._store, key)
            size = 0
            for chunk in result.stream(min_chunk_size=_CHUNK):
                file.write(chunk)
                size += len(chunk)
                on_bytes(len(chunk))
            if size != result.meta["size"]:
                raise self._error(
                    Reason.SOURCE_UNAVAILABLE, key, f"{size:,} of {result.meta['size']:,} bytes came", "try again"
                )

    def upload(self, path: Path, key: str) -> None:
        """Stream a file to an object, in parts when it is large."""
        with self._errors(key):
            obstore.put(self._store, key, path)

    def create(self, key: str, content: bytes) -> bool:
        """Put an object unless one is there already; tells whether it was put.

        Uses If-None-Match. On a server that knows no conditional put (501) it looks first, which leaves a short race.
        """
        try:
            with self._errors(key):
                obstore.put(self._store, key, content, mode="create")
        except AlreadyExistsError:
            return False
        except StageError as error:
            if "501" not in error.message:
                raise
            if self.info(key) is not None:
                return False
            self.write(key, content)
        return True

    def write(self, key: str, content: bytes) -> None:
        with self._errors(key):
            obstore.put(self._store, key, content)

    def delete(self, keys: Sequence[str]) -> None:
        with self._errors(keys[0] if keys else ""):
            obstore.delete(self._store, list(keys))

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except AlreadyExistsError:
            raise
        except (BaseError, FileNotFoundError) as error:
            # A missing object comes as FileNotFoundError; one of a local file has an errno.
            if isinstance(error, FileNotFoundError) and error.errno is not None:
                raise
            raise self._explained(key, error) from error

    def _explained(self, key: str, error: Exception) -> StageError:
        text = str(error)
        status = int(found[1]) if (found := _STATUS.search(text)) else None
        code = found[1] if (found := _CODE.search(text)) else ""
        answer = f"the server answered {status}{f' {code}' if code else ''}" if status else ""
        if _METADATA_SERVICE in text:
            return self._error(
                Reason.SOURCE_DENIED,
                key,
                "no credentials",
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket)",
            )
        if status == 404 or isinstance(error, FileNotFoundError):
            return self._error(
                Reason.SOURCE_NOT_FOUND, key, answer or "not found", "check bucket, key, endpoint and region"
            )
        if status in (401, 403) or isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return self._error(
                Reason.SOURCE_DENIED,
                key,
                answer or "access denied",
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read (or write) there",
            )
        said = answer or text.splitlines()[0].rpartition(" - ")[2]
        return self._error(Reason.SOURCE_UNAVAILABLE, key, said, "check the endpoint and the network, then try again")

    def _error(self, reason: Reason, key: str, message: str, cure: str) -> StageError:
        return StageError(reason, message, where=f"s3://{self.name}/{key}", cure=cure)


def _info(meta: obstore.ObjectMeta) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"].isoformat())
