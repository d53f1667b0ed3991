"""A search in the training pod: what it keeps in storage, and what the next pod makes of it."""

from pathlib import Path

import pytest

from runwright_components.cluster.search_mirror import SearchMirror, fetch_search
from runwright_components.cluster.storage import CHECKPOINTS, MODEL, PREPARED, Place, fetch_folder, place, store_folder
from runwright_components.cluster.worker import work
from runwright_components.contract.artifacts import MANIFEST
from runwright_components.contract.cluster import ClusterRun
from runwright_components.contract.config import ModelConfig, ParameterConfig, TrainConfig, TuneConfig
from runwright_components.contract.files import folder_files, write_bytes
from runwright_components.contract.tuning import JOURNAL, SEARCH, Tuning, tuning_of
from tests.unit.train.conftest import table, table_signature, write_prepared

RATE = ParameterConfig(key="learningRate", path=("learning_rate",), type="choice", choices=(0.001, 0.02))
CONFIG = TrainConfig(
    task="classification",
    modality="tabular",
    model=ModelConfig(name="mlp", hidden=(8,)),
    epochs=2,
    batch_size=16,
    early_stopping=None,
    device="cpu",
    tune=TuneConfig(parameters=(RATE,), algorithm="grid", pruning="none"),
)


def _trial(checkpoints: Path, number: int) -> Path:
    model = checkpoints / SEARCH / f"trial-{number:05d}" / "model"
    write_bytes(model / MANIFEST, b"{}")
    return model


def test_the_study_and_its_models_are_stored_and_fetched(run: ClusterRun, tmp_path: Path) -> None:
    there = place(run.storage).under(CHECKPOINTS)
    here = tmp_path / "checkpoints"
    assert not fetch_search(there, here)
    with SearchMirror(here, there, every=3600) as mirror:
        mirror._pass()  # there is nothing yet
        _trial(here, 0)
        write_bytes(here / SEARCH / JOURNAL, b"one\ntw")
    again = tmp_path / "again"
    assert fetch_search(there, again)
    assert (again / SEARCH / JOURNAL).read_bytes() == b"one\n", "half a line is left out"
    assert sorted(folder_files(again)) == [f"{SEARCH}/{JOURNAL}", f"{SEARCH}/trial-00000/model/{MANIFEST}"]


def test_a_model_that_was_beaten_leaves_the_storage(run: ClusterRun, tmp_path: Path) -> None:
    there = place(run.storage).under(CHECKPOINTS)
    with SearchMirror(tmp_path, there, every=3600) as mirror:
        old = _trial(tmp_path, 0)
        write_bytes(tmp_path / SEARCH / JOURNAL, b"one\n")
        mirror._pass()
        (old / MANIFEST).unlink()
        _trial(tmp_path, 3)
        write_bytes(tmp_path / SEARCH / JOURNAL, b"one\ntwo\n")
    assert there.under(SEARCH).folders() == ["trial-00003"]


@pytest.fixture
def stored(run: ClusterRun, tmp_path: Path) -> ClusterRun:
    """The run, with prepared data in its storage."""
    splits = {"train": table(96, 0, regression=False), "validation": table(32, 1, regression=False)}
    prepared = write_prepared(
        tmp_path / "prepared",
        {**splits, "test": splits["validation"]},
        table_signature(regression=False),
        categories=(5,),
    )
    store_folder(prepared, place(run.storage).under(PREPARED))
    return run


def test_a_pod_searches_and_the_next_one_repeats_nothing(
    stored: ClusterRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    storage = place(stored.storage)
    work(stored, CONFIG, prepared_uri=storage.under(PREPARED).uri, folder=tmp_path / "first")
    journal = storage.under(CHECKPOINTS).under(SEARCH).read(JOURNAL)
    assert journal is not None
    assert len(_result(storage.under(MODEL), tmp_path / "model").trials) == 2

    storage.under(MODEL).remove()
    work(stored, CONFIG, prepared_uri=storage.under(PREPARED).uri, folder=tmp_path / "second")
    assert len(_result(storage.under(MODEL), tmp_path / "again").trials) == 2
    after = storage.under(CHECKPOINTS).under(SEARCH).read(JOURNAL)
    assert after is not None
    assert after.startswith(journal), "the study goes on"
    assert after.count(b'"op_code":4') == 2, "no trial was begun again"


def _result(there: Place, target: Path) -> Tuning:
    fetch_folder(there, target)
    tuning = tuning_of(target)
    assert tuning is not None
    return tuning
