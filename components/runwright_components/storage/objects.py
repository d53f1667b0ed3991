"""One bucket or container of object storage, through obstore. Credentials come from the environment."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.storage.addresses import public_url

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Client

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]\w*)</Code>")
_UNUSABLE = re.compile(r"(?:GCP credential error|Invalid Access Key): (.*)")  # before any request
_URL = re.compile(r"https?://[^\s)\"']+")
_CHUNK = 4 << 20
_METADATA_SERVICES = ("169.254.169.254", "metadata.google.internal")  # asked when no credentials are given


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    size: int
    etag: str
    modified: str


@dataclass(frozen=True, slots=True)
class Cures:
    """What a person can do, in the words of one provider."""

    missing: str
    denied: str
    no_credentials: str


class ObjectStore(ABC):
    """Typed operations on one bucket. Every failure is a StageError whose place is `SCHEME://NAME/KEY`."""

    scheme: ClassVar[str]
    cures: ClassVar[Cures]

    def __init__(self, name: str, *, endpoint: str, timeout: float) -> None:
        """`endpoint` is the server's address, empty for the provider's own; `timeout` is in seconds, to connect and
        between two pieces of a body."""
        self.name, self.endpoint = name, endpoint
        options: ClientConfig = {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=timeout),
            "read_timeout": timedelta(seconds=timeout),
            "timeout": timedelta(days=1),  # of a whole body, however large
        }
        retries: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=4 * timeout)}
        with self._errors(""):
            self._store = self._client(endpoint, options, retries)

    @abstractmethod
    def _client(self, endpoint: str, options: ClientConfig, retries: RetryConfig) -> Client:
        """The provider's client."""

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

    def address(self, key: str) -> str:
        """The object's address, for messages."""
        return f"{self.scheme}://{self.name}/{key}"

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
        if found := _UNUSABLE.search(text):
            said = f"the credentials cannot be used: {found[1]}"
            return self._error(Reason.SOURCE_DENIED, key, said, self.cures.no_credentials)
        if any(service in text for service in _METADATA_SERVICES):
            return self._error(Reason.SOURCE_DENIED, key, "no credentials", self.cures.no_credentials)
        if status == 404 or isinstance(error, FileNotFoundError):
            return self._error(Reason.SOURCE_NOT_FOUND, key, answer or "not found", self.cures.missing)
        if status in (401, 403) or isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return self._error(Reason.SOURCE_DENIED, key, answer or "access denied", self.cures.denied)
        said = answer or _brief(text)
        return self._error(Reason.SOURCE_UNAVAILABLE, key, said, "check the endpoint and the network, then try again")

    def _error(self, reason: Reason, key: str, message: str, cure: str) -> StageError:
        return StageError(reason, message, where=self.address(key), cure=cure)


def _brief(text: str) -> str:
    """The last part of an error's first line; addresses in it lose their queries, which may hold a signature."""
    return _URL.sub(lambda url: public_url(url[0]), text.splitlines()[0].rpartition(" - ")[2])


def _info(meta: obstore.ObjectMeta) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"].isoformat())
