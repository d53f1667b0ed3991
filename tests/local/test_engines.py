"""One table on all engines: a real local Spark and a real local Ray give what `engine: local` gives, row by row."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest

from runwright_components.contract.artifacts import QUALITY, QUARANTINE, RAW_TEST, PreparedManifest
from runwright_components.contract.config import PrepareConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.engines import Engine, engine_for
from runwright_components.prepare import prepare
from runwright_components.prepare.quality import Quality
from tests.machine import unable
from tests.unit.engines.messy import CONFIGS, messy
from tests.unit.prepare.conftest import write_raw  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("engines")]
ROWS = 3_000

Prepared = Callable[[str, str], Path]


@pytest.fixture(scope="module", params=["spark", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, Engine]]:
    """The engine, begun once: what prepares a table inside of its session uses it."""
    with ExitStack() as stack:
        try:
            yield request.param, stack.enter_context(engine_for(request.param))
        except StageError as error:
            unable(str(error))


@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_engines_agree(
    name: str,
    engine: tuple[str, Engine],
    write_raw: Callable[..., Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    raw = write_raw(messy(ROWS), parts=3)
    manifests: dict[str, PreparedManifest] = {}
    for which in ("local", engine[0]):
        config = PrepareConfig.model_validate({"modality": "tabular", "engine": which, **CONFIGS[name]})
        manifests[which] = prepare(config, raw=raw, out=tmp_path / which, progress=silent())
    here, there = tmp_path / "local", tmp_path / engine[0]
    for file in ("train.parquet", "validation.parquet", "test.parquet", RAW_TEST):
        assert pl.read_parquet(there / file).equals(pl.read_parquet(here / file)), file
    assert (there / QUARANTINE).is_file() == bool(CONFIGS[name].get("expectations"))
    assert Quality.read(there, QUALITY) == Quality.read(here, QUALITY)
    assert manifests[engine[0]].rows == manifests["local"].rows
    # Of every file, the fitted state among them: whoever trains on it cannot tell them apart.
    assert manifests[engine[0]].digest == manifests["local"].digest


def test_a_worker_tells_what_is_wrong(engine: tuple[str, Engine]) -> None:
    with pytest.raises(StageError, match="the third part") as caught:
        engine[1].run(_refuse_the_third, [0, 1, 2, 3])
    assert (caught.value.reason, caught.value.where, caught.value.cure) == (Reason.DATA_INVALID, "part 2", "mend it")


def test_a_worker_that_breaks_ends_the_stage(engine: tuple[str, Engine]) -> None:
    with pytest.raises(StageError, match="gave up") as caught:
        engine[1].run(_divide, [1, 0])
    assert caught.value.reason is Reason.WORKER_FAILED
    assert "ZeroDivisionError" in caught.value.message


def test_results_come_in_the_order_of_the_parts(engine: tuple[str, Engine]) -> None:
    assert engine[1].run(_divide, list(range(1, 9))) == [1 / part for part in range(1, 9)]


def _refuse_the_third(part: int) -> int:
    if part == 2:
        raise StageError(Reason.DATA_INVALID, "the third part", where="part 2", cure="mend it")
    return part


def _divide(part: int) -> float:
    return 1 / part
