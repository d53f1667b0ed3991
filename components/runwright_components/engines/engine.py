"""What runs a function over the parts of a table: Spark or Ray, with as many machines as they have.

An engine is told no more than a function and its parts; what is done with the rows is the very code that `engine: local`
runs over the whole table, which is why the outputs are the same. The parts name files. So the folders of the stage
(`raw`, and the one that `out` lies in) must be there under the same path for the driver and for each worker: on one
machine they are, in a cluster they lie on a volume that all pods mount.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from runwright_components.contract.config.engine import EngineName

Part = TypeVar("Part")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs functions over parts."""

    part_rows: int
    """Rows that one task takes."""

    def run(self, do: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """`do` of each part, in their order; each task is given one part, on any worker, and again after a lost one.

        `do`, parts and results must be picklable, and results small: the driver holds all of them. Raises StageError:
        what `do` raised, or WorkerFailed where the engine itself gave up.
        """
        ...


def engine_for(name: EngineName) -> AbstractContextManager[Engine | None]:
    """A session of the engine, which ends with the block, unless somebody else began it; None for `local`.

    The session is made from the environment: a driver that a SparkApplication started, or spark-submit, finds its
    cluster, RAY_ADDRESS names a running Ray (a RayJob sets it); without them both run in processes of this machine.
    Raises StageError with the cure where pyspark, Java or ray is not installed.
    """
    if name == "spark":
        from runwright_components.engines.spark import session

        return session()
    if name == "ray":
        from runwright_components.engines.ray_data import session as ray_session

        return ray_session()
    from contextlib import nullcontext

    return nullcontext()
