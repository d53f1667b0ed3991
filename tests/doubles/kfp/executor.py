"""Walks a run's tasks: one after the other, each as often as its policy says, by way of a Runner."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.doubles.kfp import graph
from tests.doubles.kfp.attempts import AttemptError, Runner
from tests.doubles.kfp.cluster import ClusterError
from tests.doubles.kfp.store import ENDED, Run, State, Store, Task, new_id


@dataclass(frozen=True)
class Pace:
    """How the double takes its time."""

    pending: float = 0.3
    """Seconds until a run is running; for the first third of them its state is not even said."""
    task: float = 0.0
    """Seconds before each task: the real thing takes 14 to 20."""


class Executor:
    """Executes runs."""

    def __init__(self, store: Store, runner: Runner, *, pace: Pace | None = None, at_once: int = 16) -> None:
        self._store = store
        self._runner = runner
        self._pace = pace or Pace()
        self._room = asyncio.Semaphore(at_once)
        self._working: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Go on with what was under way when the double ended."""
        for run in self._store.runs.values():
            if run.state == "CANCELING":
                self.cancel(run)
            elif run.state not in ENDED:
                self.start(run)

    def start(self, run: Run) -> None:
        self._working[run.id] = asyncio.create_task(self._work(run))

    def cancel(self, run: Run) -> None:
        """Stop the run's step, then call it canceled."""
        working = self._working.pop(run.id, None)
        self._working[run.id] = asyncio.create_task(self._cancel(run, working))

    async def kill(self, run: Run) -> None:
        """Stop everything of a run at once."""
        await _stopped(self._working.pop(run.id, None))
        await self._runner.kill(run)

    async def close(self) -> None:
        for working in list(self._working.values()):
            await _stopped(working)
        await self._runner.close()

    async def _cancel(self, run: Run, working: asyncio.Task[None] | None) -> None:
        await _stopped(working)
        for task in run.tasks:
            if task.state in ENDED:
                continue
            task.exit_code = await self._runner.stop(run, task)
            self._enter(run, task, "CANCELED")
        run.enter("CANCELED")
        self._store.save(run)
        self._working.pop(run.id, None)

    async def _work(self, run: Run) -> None:
        state: State
        try:
            if not run.tasks:
                await self._wait_to_run(run)
            await self._runner.begin(run)
            for node in graph.nodes(run.spec):
                task = _task(run, node.name)
                if task.state != "SUCCEEDED" and not await self._carry_out(run, node, task):
                    raise AttemptError(f"task {node.name} failed")
            state = "SUCCEEDED"
        except (AttemptError, ClusterError, KeyError, TypeError, ValueError, OSError) as error:
            run.error = f"{type(error).__name__}: {error}"
            state = "FAILED"
        run.enter(state)
        self._store.save(run)
        self._working.pop(run.id, None)

    async def _wait_to_run(self, run: Run) -> None:
        await asyncio.sleep(self._pace.pending / 3)
        run.enter("PENDING")
        self._store.save(run)
        await asyncio.sleep(2 * self._pace.pending / 3)
        run.enter("RUNNING")
        self._store.save(run)

    async def _carry_out(self, run: Run, node: graph.Node, task: Task) -> bool:
        """One task with its retries; whether it succeeded."""
        while True:
            if task.step is None:  # else a double that was restarted finds the attempt still there
                await asyncio.sleep(self._pace.task)
                task.attempts += 1
                async with self._room:
                    try:
                        await self._runner.start(run, node, task)
                    except AttemptError as error:
                        task.error = str(error)
                        self._enter(run, task, "FAILED")
                        return False
                    self._enter(run, task, "RUNNING")
            ending = await self._runner.ended(run, node, task)
            task.exit_code, task.step = ending.code, None
            if not ending.error:
                task.outputs, task.metadata = dict(ending.outputs), dict(ending.metadata)
                self._enter(run, task, "SUCCEEDED")
                return True
            task.error = ending.error
            if task.attempts > node.retries:
                self._enter(run, task, "FAILED")
                return False
            self._store.save(run)
            await asyncio.sleep(node.pause(task.attempts))

    def _enter(self, run: Run, task: Task, state: State) -> None:
        task.state = state
        now = time.time()
        if state == "RUNNING":
            task.started = task.started or now
        else:
            task.finished = now
        self._store.save(run)


async def _stopped(working: asyncio.Task[None] | None) -> None:
    if working is not None:
        working.cancel()
        await asyncio.wait([working])


def _task(run: Run, name: str) -> Task:
    for task in run.tasks:
        if task.name == name:
            return task
    run.tasks.append(Task(id=new_id(), name=name, created=time.time()))
    return run.tasks[-1]
