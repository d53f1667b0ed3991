"""Where the study of a search in a cluster lies: a journal in storage, or a real PostgreSQL database."""

import socket
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from runwright_components.cluster.search.store import (
    PART_LINES,
    PlaceJournal,
    database,
    secrets_of,
    shown,
    study_storage,
)
from runwright_components.cluster.storage import Folder
from runwright_components.contract.config import ParameterConfig, TuneConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.tuning import STUDY_URL_ENV
from runwright_components.train.tuning.study import Study
from tests.cluster.waiting import eventually
from tests.databases.postgres import PASSWORD

X = ParameterConfig(key="x", path=("x",), type="float", min=-1, max=1)
WIDTHS = ParameterConfig(key="widths", path=("widths",), type="choice", choices=([16], [64, 64]))
CONFIG = TuneConfig(parameters=(X, WIDTHS), pruning="median")


def _goes_on_with(first: Study, again: Study) -> None:
    """A study that is opened again has what ended and what ran, and tries what the first would have tried."""
    number, values = first.ask() or (0, {})
    first.report(number, 1, 0.5)
    first.complete(number, 0.5, epochs=1, seconds=2.0)
    running = first.ask()
    first.spent.gpu_seconds = 8.0
    first.keep_spent()
    assert again.unfinished() == [running]
    (ended,) = again.trials()
    assert (ended.values, ended.value, ended.seconds) == (values, 0.5, 2.0)


def test_a_journal_in_storage_goes_on(tmp_path: Path) -> None:
    there = Folder(tmp_path / "study")
    first = Study(study_storage(there, {}), CONFIG, CONFIG.parameters, epochs=5)
    number, _ = first.ask() or (0, {})
    second = Study(study_storage(there, {}), CONFIG, CONFIG.parameters, epochs=5)
    assert [one for one, _ in second.unfinished()] == [number], "a trial is in storage before anything is made for it"
    first.complete(number, 1.0, epochs=1, seconds=1.0)
    third = Study(study_storage(there, {}), CONFIG, CONFIG.parameters, epochs=5)
    assert [trial.value for trial in third.trials()] == [1.0]


def test_a_long_journal_is_written_in_parts(tmp_path: Path) -> None:
    journal = PlaceJournal(Folder(tmp_path))
    lines = [{"line": number} for number in range(2 * PART_LINES + 3)]
    for line in lines[:PART_LINES]:
        journal.append_logs([line])
    first = (tmp_path / "part-000000.jsonl").stat().st_mtime_ns
    journal.append_logs(lines[PART_LINES:])
    assert (tmp_path / "part-000000.jsonl").stat().st_mtime_ns == first, "what is full is not written again"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"part-00000{part}.jsonl" for part in range(3)]
    again = PlaceJournal(Folder(tmp_path))
    assert list(again.read_logs(0)) == lines
    assert list(again.read_logs(2 * PART_LINES)) == lines[2 * PART_LINES :]


def test_a_study_lies_in_a_database(address: str, tmp_path: Path) -> None:
    environment = {STUDY_URL_ENV: address}
    there = Folder(tmp_path)

    def opened(name: str) -> Study:
        storage = study_storage(there, environment)
        return Study(storage, CONFIG, CONFIG.parameters, epochs=5, name=name)

    _goes_on_with(opened("team/churn/uid/r1"), opened("team/churn/uid/r1"))
    assert opened("team/churn/uid/r2").trials() == (), "another revision has a study of its own"
    assert list(tmp_path.iterdir()) == [], "nothing of it lies in storage"


def test_a_search_keeps_what_it_has_spent_in_the_database(address: str, tmp_path: Path) -> None:
    storage = study_storage(Folder(tmp_path), {STUDY_URL_ENV: address})
    with Study(storage, CONFIG, CONFIG.parameters, epochs=5, name="spent") as study:
        study.spent.gpu_seconds = 12.5
    again = Study(database(address), CONFIG, CONFIG.parameters, epochs=5, name="spent")
    assert again.spent.gpu_seconds == 12.5


def test_a_wrong_password_is_told_without_any(address: str) -> None:
    with pytest.raises(StageError) as caught:
        database(address.replace(PASSWORD, "guess-that-word"))
    assert caught.value.reason is Reason.SOURCE_DENIED
    assert 'password authentication failed for user "study"' in str(caught.value)
    assert "guess-that-word" not in str(caught.value)
    assert caught.value.__cause__ is None, "no traceback shows the driver's words"
    assert "tune.storage.secretRef" in caught.value.cure


def test_a_database_that_is_away_is_no_persons_fault() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = f"postgresql://study:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/runs"
        with pytest.raises(StageError) as caught:
            database(away)
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert PASSWORD not in str(caught.value)
    assert caught.value.where.endswith("/runs")


def _scalar(connection: Connection, asked: str) -> object:
    found: object = connection.execute(text(asked)).scalar()
    connection.commit()
    return found


def test_a_connection_that_the_server_ends_is_made_anew(address: str) -> None:
    study = Study(database(address), CONFIG, CONFIG.parameters, epochs=5, name="ended")
    number, _ = study.ask() or (0, {})
    others = "from pg_stat_activity where pid <> pg_backend_pid() and usename = 'study'"
    with create_engine(address.replace("postgresql://", "postgresql+pg8000://")).connect() as connection:
        connection.execute(text(f"select pg_terminate_backend(pid) {others}"))
        connection.commit()  # what is seen of the others is that of a transaction's beginning
        eventually(lambda: _scalar(connection, f"select count(*) {others}") == 0 or None)
    study.complete(number, 0.5, epochs=1, seconds=1.0)
    assert [trial.value for trial in study.trials()] == [0.5]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("not an address", "it cannot be read as an address"),
        (f"mysql://me:{PASSWORD}@db/runs", "mysql is no PostgreSQL"),
        (f"postgresql://me:{PASSWORD}@db/runs?sslmode=prefer", "sslmode is disable, require or verify-full"),
        (f"postgresql://me:{PASSWORD}@db/runs?options=x", "options is not known"),
    ],
)
def test_what_is_no_address_of_a_postgresql_is_refused(written: str, told: str) -> None:
    with pytest.raises(StageError) as caught:
        database(written)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert told in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert "postgresql://USER:PASSWORD@HOST:5432/NAME" in caught.value.cure


def test_a_database_without_tls_is_not_spoken_to_in_the_clear_where_it_is_asked_for(address: str) -> None:
    with pytest.raises(StageError) as caught:
        database(f"{address}?sslmode=verify-full")
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE


def test_what_is_shown_and_what_is_hidden() -> None:
    address = f"postgresql://study:{PASSWORD}@db.example:5433/runs"
    assert shown(address) == "db.example:5433/runs"
    assert secrets_of(address) == [address, PASSWORD]
