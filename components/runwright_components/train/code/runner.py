"""Starts the user's code, and follows it to its end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from runwright_components.contract.artifacts import ONNX
from runwright_components.contract.cluster import CLUSTER_ENV
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.progress import Progress
from runwright_components.train.code import bootstrap, sources
from runwright_components.train.code.environment import environment_of
from runwright_components.train.code.exports import Export
from runwright_components.train.code.failing import failure_of, oom_kills, read_endings, too_long
from runwright_components.train.code.launch import CodeJob
from runwright_components.train.code.metrics import Metrics
from runwright_components.train.code.on_ray import ray_variables
from runwright_components.train.code.output import Output
from runwright_components.train.code.process import run_process
from runwright_components.train.code.workplace import Workplace
from runwright_components.train.job import AGENT_FAILURE, JOB, Deaths, Nodes
from runwright_components.train.signals import StopSignal, cancelled

_PYTHON = (sys.executable, "-P")  # modules are found where the code is, not where it was started
_EXPORT = "runwright_components.train.code.torch_export"


class Runner:
    """Starts processes of user code in one workplace."""

    def __init__(self, config: TrainConfig, place: Workplace, stop: StopSignal, progress: Progress) -> None:
        assert config.code is not None
        self._config = config
        self._code = config.code
        self._place = place
        self._stop = stop
        self._progress = progress
        self._deadline = time.monotonic() + limit if (limit := self._code.timeout_seconds) is not None else None

    def entry(self) -> tuple[tuple[str, ...], Path]:
        """What the bootstrap is told to start, and the working folder."""
        code, base = self._code, Path(self._config.base)
        if code.command:
            return ("command", *code.command, *code.args), base
        path = sources.locate(code, base=base, into=self._place.code)
        if code.entrypoint:
            return ("module", code.entrypoint, *code.args), path
        return ("file", str(path), *code.args), path.parent

    def run(self, entry: tuple[tuple[str, ...], Path], metrics: Metrics, *, nodes: Nodes | None) -> None:
        """Run the code to its end in as many processes as it is to have. Raises StageError."""
        what, folder = entry
        arguments = ("-P", bootstrap.__file__, *what)
        variables: dict[str, str] = {}
        if self._config.processes == 1 and nodes is None:
            command = (sys.executable, *arguments)
        else:
            job = CodeJob(arguments=arguments, processes=self._config.processes, nodes=nodes)
            job.write(self._place.endings, JOB)
            command = (*_PYTHON, "-m", "runwright_components.train.code.launch", str(self._place.endings))
            # As torchrun does, so that processes do not fight for cores.
            variables["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // self._config.processes))
        self._run(command, folder, metrics, variables)

    def exported(self, export: Export) -> Path:
        """The graph of weights in safetensors, made by their factory in a process of its own. Raises StageError."""
        target = self._place.folder / "exported"
        target.mkdir()
        what = ("module", _EXPORT, str(export.path), str(self._place.prepared), str(target))
        self._run((*_PYTHON, bootstrap.__file__, *what), self._place.model, None, {})
        return target / ONNX

    def _run(self, command: tuple[str, ...], folder: Path, metrics: Metrics | None, variables: dict[str, str]) -> None:
        place, code = self._place, self._code
        contract = {
            **place.variables,
            **ray_variables(code, str(place.checkpoints)),
            bootstrap.ENDINGS: str(place.endings),
        }
        kills = oom_kills()
        output = Output(self._progress, notes=CLUSTER_ENV not in os.environ)  # a pod's log has the output itself
        self._stop.deferred = True
        try:
            ended = run_process(
                command,
                folder=folder,
                environment=environment_of({**variables, **os.environ}, code, contract),
                output=output,
                poll=metrics.poll if metrics else _nothing,
                stop=self._stop,
                deadline=self._deadline,
            )
        except TimeoutError as error:
            raise too_long(code.timeout_seconds or 0) from error
        finally:
            self._stop.deferred = False
        if self._stop.requested:
            raise cancelled()
        ended = _signal_of_worker(place.endings, ended)
        failure = failure_of(ended, read_endings(place.endings), output.last_lines(12), oom=oom_kills() > kills)
        if failure is not None:
            raise failure


def _nothing() -> None:
    """There is nothing to follow."""


def _signal_of_worker(folder: Path, code: int) -> int:
    """The signal that killed a worker first, negative, where the elastic agent tells; else `code`."""
    if not (folder / AGENT_FAILURE).exists():
        return code
    deaths = Deaths.read(folder, AGENT_FAILURE).workers
    killed = [death for death in deaths if death.signal not in ("", "SIGTERM")]
    ended = [death for death in deaths if death.exit_code > 0]
    first = min(killed or ended or deaths, key=lambda death: death.time)
    return first.exit_code
