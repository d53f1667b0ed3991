"""Tasks on Ray Data. RAY_ADDRESS names a running Ray, as a RayJob does; else Ray runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from runwright_components.engines.engine import parts_on
from runwright_components.engines.outcome import Outcome, Task, gave_up, missing, results

_STORE = 512 * 1024**2  # bytes of the object store, on this machine: the rows are in files

Part = TypeVar("Part")
Result = TypeVar("Result")


class Ray:
    """Tasks of the Ray that this process is connected to."""

    def parts(self, rows: int) -> int:
        import ray

        return parts_on(int(ray.cluster_resources().get("CPU", 1)), rows)  # type: ignore[no-untyped-call]

    def run(self, do: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        import ray
        import ray.data

        # The dataset has the parts' places alone: what is not a plain value would become a column of its own making.
        task, given = ray.put(Task(do)), [ray.put(part) for part in parts]

        def one(row: dict[str, Any]) -> dict[str, Any]:
            return {"place": row["item"], "outcome": ray.get(task)(ray.get(given[row["item"]]))}

        rows = ray.data.from_items(list(range(len(parts))), override_num_blocks=len(parts))
        try:
            done = rows.map(one).take_all()
        except ray.exceptions.RayError as error:
            raise gave_up("Ray", str(error)) from error
        outcomes: list[Outcome[Result]] = [row["outcome"] for row in sorted(done, key=lambda row: row["place"])]
        return results(outcomes)


@contextmanager
def session() -> Iterator[Ray]:
    """The Ray that this process is connected to, or the one that RAY_ADDRESS names, or a new one on this machine; a
    connection made here ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing("ray", "Ray Data, which is not installed", 'pip install "runwright[ray]"') from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    if ray.is_initialized():
        yield Ray()
        return
    workers = {"env_vars": {"POLARS_MAX_THREADS": "1"}}  # Ray runs as many tasks at a time as there are cores
    if address := os.environ.get("RAY_ADDRESS"):
        ray.init(address=address, runtime_env=workers, log_to_driver=False)
    else:
        ray.init(
            _node_ip_address="127.0.0.1",  # where it listens
            include_dashboard=False,
            object_store_memory=_STORE,
            runtime_env=workers,
            log_to_driver=False,
        )
    try:
        yield Ray()
    finally:
        ray.shutdown()
