"""What runs a function over the parts of a table: this process, Spark or Ray.

An engine is told no more than a function and its parts; what is done with the rows is the same code whatever runs it,
which is why the outputs are the same. The parts name files. So the folders of the stage (`raw`, and the one that `out`
lies in) must be there under the same path for the driver and for each worker: on one machine they are, in a cluster
they lie on a volume that all pods mount.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from runwright_components.contract.config.engine import EngineName

PART_ROWS = 500_000
"""Rows that a worker takes at most."""

Part = TypeVar("Part")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs functions over the parts of a table."""

    def parts(self, rows: int) -> int:
        """Into how many parts a table of so many rows is cut."""
        ...

    def run(self, do: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """`do` of each part, in their order; on any worker, and again after a worker was lost.

        `do`, parts and results must be picklable, and results small: the driver holds all of them. Raises StageError:
        what `do` raised, or WorkerFailed where the engine itself gave up.
        """
        ...


class Local:
    """One part, in this process: Polars' streaming engine cuts the rows and uses all processors."""

    def parts(self, rows: int) -> int:
        return min(rows, 1)

    def run(self, do: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        return [do(part) for part in parts]


def engine_for(name: EngineName) -> AbstractContextManager[Engine]:
    """A session of the engine, which ends with the block, unless somebody else began it.

    The session is made from the environment: a driver that a SparkApplication or spark-submit started finds its
    cluster, RAY_ADDRESS names a running Ray (a RayJob sets it); without them both run in processes of this machine.
    Raises StageError with the cure where pyspark, Java or ray is missing.
    """
    if name == "spark":
        from runwright_components.engines import spark

        return spark.session()
    if name == "ray":
        from runwright_components.engines import ray_data

        return ray_data.session()
    return nullcontext(Local())


def parts_on(workers: int, rows: int) -> int:
    """Parts for so many workers: each has one, and none is larger than `PART_ROWS`."""
    return max(1, min(workers, rows), -(-rows // PART_ROWS))
