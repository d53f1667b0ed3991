"""Where a study lies that no disk of the step's outlives: in the run's storage, or in a PostgreSQL database."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from runwright_components.cluster.storage import Place
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.tuning import STUDY_URL_ENV

PART_LINES = 256
WHERE = "tune.storage.secretRef"
_DENIED = ("28000", "28P01", "42501", "3D000")  # SQLSTATE: who it is, and what is allowed; there is no such database


def study_storage(there: Place, environment: Mapping[str, str]) -> BaseStorage:
    """The database that the environment names, else a journal at `there`. Raises StageError."""
    address = environment.get(STUDY_URL_ENV, "").strip()
    return database(address) if address else JournalStorage(PlaceJournal(there))


class PlaceJournal(BaseJournalBackend):
    """Optuna's journal in storage, which cannot append: parts of `PART_LINES` lines, of which the last is written anew.

    Every entry is in storage before the call returns: a job is made only after its trial is known. One step writes at a
    time; the fence sees to that.
    """

    def __init__(self, there: Place) -> None:
        self._there = there
        self._lines: list[str] = []
        while (part := there.read(self._name(len(self._lines)))) is not None:
            lines = part.decode().splitlines()
            self._lines += lines
            if len(lines) < PART_LINES:
                break

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return [json.loads(line) for line in self._lines[log_number_from:]]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        start = len(self._lines) // PART_LINES * PART_LINES
        self._lines += [json.dumps(log, separators=(",", ":")) for log in logs]
        for first in range(start, len(self._lines), PART_LINES):
            lines = self._lines[first : first + PART_LINES]
            self._there.write(self._name(first), ("\n".join(lines) + "\n").encode())

    @staticmethod
    def _name(line: int) -> str:
        return f"part-{line // PART_LINES:06d}.jsonl"


def database(address: str) -> RDBStorage:
    """Optuna's tables in the PostgreSQL database at `address`, which is a secret: only host and name are ever shown.

    Raises StageError: InvalidConfig, SourceDenied, SourceUnavailable.
    """
    url, options = _parsed(address)
    with database_errors(address):
        return RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={"connect_args": {"timeout": 20, **options}, "pool_pre_ping": True, "hide_parameters": True},
        )


@contextmanager
def database_errors(address: str) -> Iterator[None]:
    """What a database does not do, as a StageError without the address's secrets."""
    try:
        yield
    except (OptunaError, SQLAlchemyError) as error:
        told = _told(error)
        raise StageError(
            Reason.SOURCE_DENIED if told.get("C") in _DENIED else Reason.SOURCE_UNAVAILABLE,
            f"the database of the study does not answer as it should: {told.get('M') or type(error).__name__}",
            where=shown(address),
            cure=f"see whether it runs and may be reached from the namespace, and the Secret that {WHERE} names",
        ) from None  # its words may hold the address


def shown(address: str) -> str:
    """Host and name of the database."""
    try:
        url = make_url(address)
    except ArgumentError:
        return WHERE
    return f"{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def secrets_of(address: str) -> list[str]:
    """What of the address no record may show."""
    try:
        url = make_url(address)
    except ArgumentError:
        return [address]
    return [address, *([str(url.password)] if url.password else [])]


def _parsed(address: str) -> tuple[URL, dict[str, Any]]:
    """The address for the driver pg8000, and what libpq's `sslmode` asks of the connection."""
    try:
        url = make_url(address)
    except ArgumentError:
        raise _no_address("it cannot be read as an address") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise _no_address(f"{url.get_backend_name()} is no PostgreSQL")
    mode = url.query.get("sslmode", "disable")
    foreign = sorted(set(url.query) - {"sslmode"})
    if foreign:
        raise _no_address(f"{', '.join(foreign)} is not known")
    if mode not in ("disable", "require", "verify-full"):
        raise _no_address("sslmode is disable, require or verify-full")
    return url.set(drivername="postgresql+pg8000", query={}), _tls(str(mode))


def _tls(mode: str) -> dict[str, Any]:
    if mode == "disable":
        return {}
    context = ssl.create_default_context()
    if mode == "require":  # encrypted, to whomever answers, as libpq has it
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return {"ssl_context": context}


def _no_address(why: str) -> StageError:
    return StageError(
        Reason.INVALID_CONFIG,
        f"the key url of the Secret is not the address of a PostgreSQL database: {why}",
        where=WHERE,
        cure="write postgresql://USER:PASSWORD@HOST:5432/NAME, with ?sslmode=verify-full where it has TLS",
    )


def _told(error: BaseException | None) -> dict[str, str]:
    """What PostgreSQL said: its code C and message M, in the cause of the cause."""
    while error is not None:
        for one in (error, getattr(error, "orig", None)):
            given = one.args[0] if isinstance(one, Exception) and one.args else None
            if isinstance(given, dict):
                return {str(name): str(value) for name, value in given.items()}
        error = error.__cause__
    return {}
