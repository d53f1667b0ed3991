"""A table that is prepared in parts, each a task that was pickled as engines do, is the table prepared as a whole."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import polars as pl
import pytest

from runwright_components.contract.artifacts import RAW_TEST
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.files import folder_files, new_folder
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.engines.engine import PART_ROWS, Local, engine_for, parts_on
from runwright_components.engines.outcome import Task, results
from runwright_components.prepare import tabular
from runwright_components.prepare.parts import cut
from runwright_components.prepare.raw import open_raw
from tests.unit.engines.messy import CONFIGS, messy
from tests.unit.prepare.conftest import write_raw  # noqa: F401


class InParts:
    """Tasks in this process, whose functions, parts and results cross as they do to a worker; each runs twice, as
    after a worker was lost."""

    def __init__(self, count: int) -> None:
        self._count = count

    def parts(self, rows: int) -> int:
        return min(rows, self._count)

    def run(self, do: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        outcomes = []
        for part in parts:
            for _ in range(2):
                task, given = cloudpickle.loads(cloudpickle.dumps((Task(do), part)))
                outcome = task(given)
            outcomes.append(cloudpickle.loads(cloudpickle.dumps(outcome)))
        return results(outcomes)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return messy(300)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_parts_give_the_files_of_the_whole(
    name: str,
    frame: pl.DataFrame,
    write_raw: Callable[..., Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    raw = write_raw(frame, parts=2)
    config = PrepareConfig.model_validate({"modality": "tabular", **CONFIGS[name]})
    folders = []
    for engine in (Local(), InParts(7)):
        with new_folder(tmp_path / type(engine).__name__) as folder:
            tabular.write_on(engine, config, open_raw(raw), folder, silent())
        folders.append(tmp_path / type(engine).__name__)
    whole, parts = folders
    for file in ("train.parquet", "validation.parquet", "test.parquet", RAW_TEST):
        assert pl.read_parquet(parts / file).equals(pl.read_parquet(whole / file)), file
    assert folder_files(parts) == folder_files(whole)


def test_a_table_is_cut_into_parts_of_one_size(tmp_path: Path) -> None:
    parts = cut(10, 3, tmp_path)
    assert [(part.first, part.rows, part.whole) for part in parts] == [(0, 3, False), (3, 3, False), (6, 4, False)]
    assert len(cut(2, 3, tmp_path)) == 2
    assert cut(10, 1, tmp_path)[0].whole


def test_each_worker_has_a_part_and_none_is_too_large() -> None:
    assert parts_on(4, 100) == 4
    assert parts_on(4, 3) == 3
    assert parts_on(4, 9 * PART_ROWS + 1) == 10


def test_what_a_worker_says_reaches_the_driver() -> None:
    def fail(part: int) -> int:
        raise StageError(Reason.DATA_INVALID, "no such word", where="column a", cure="mend it")

    with pytest.raises(StageError, match="no such word") as caught:
        InParts(1).run(fail, [1])
    assert caught.value.as_dict() == {
        "reason": "DataInvalid",
        "message": "no such word",
        "where": "column a",
        "cure": "mend it",
    }


def test_spark_without_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(StageError, match="engine: spark needs Java") as caught, engine_for("spark"):
        pass
    assert "Java 17" in caught.value.cure


@pytest.mark.parametrize(("engine", "module"), [("spark", "pyspark"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_says_how_to_install_it(
    engine: Any, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (module, "pyspark.sql", "ray.data"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(StageError, match="not installed") as caught, engine_for(engine):
        pass
    assert f'pip install "runwright[{engine}]"' in caught.value.cure
