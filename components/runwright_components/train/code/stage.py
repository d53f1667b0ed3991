"""Training by the user's own code: run it, take what it exports, and make a model of that."""

from __future__ import annotations

import os
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

from runwright_components.contract.artifacts import (
    HISTORY,
    ONNX,
    OUTPUTS,
    PREPROCESSING,
    WEIGHTS,
    History,
    Lineage,
    ModelManifest,
    PreparedManifest,
    model_digest,
)
from runwright_components.contract.cluster import CLUSTER_ENV
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.files import folder_files, new_folder
from runwright_components.contract.progress import Progress
from runwright_components.train.code import bootstrap, sources
from runwright_components.train.code.environment import environment_of
from runwright_components.train.code.exports import TENSORS, Export, find_export
from runwright_components.train.code.failing import failure_of, oom_kills, read_endings, too_long
from runwright_components.train.code.launch import CodeJob
from runwright_components.train.code.metrics import Metrics
from runwright_components.train.code.on_ray import ray_variables
from runwright_components.train.code.output import Output
from runwright_components.train.code.process import run_process
from runwright_components.train.code.schema import output_of
from runwright_components.train.code.workplace import Workplace, workplace
from runwright_components.train.job import AGENT_FAILURE, JOB, Deaths, Nodes
from runwright_components.train.signals import StopSignal, cancelled

_PYTHON = (sys.executable, "-P")  # modules are found where the code is, not where it was started
_EXPORT = "runwright_components.train.code.torch_export"


def train_code(
    config: TrainConfig,
    *,
    prepared: Path,
    out: Path,
    checkpoints: Path,
    resume: bool,
    progress: Progress,
    nodes: Nodes | None = None,
) -> ModelManifest | None:
    """Run `config.code` on the prepared data and write what it exports as a model to `out`; on a node that is not the
    first, nothing is written and None is returned.

    Raises StageError: UserCodeError for what the code did wrong, InvalidConfig where there is nothing to start,
    OutOfMemory, StorageFull, WorkerFailed (a signal, or exit code 20), DeadlineExceeded, Cancelled.
    """
    prepared, out, checkpoints = prepared.resolve(), out.resolve(), checkpoints.resolve()
    place_of = workplace(config, prepared=prepared, out=out, checkpoints=checkpoints, resume=resume)
    with StopSignal() as stop, place_of as place:
        runner = _Runner(config, place, stop, progress)
        metrics = Metrics(place.metrics, progress, rows=PreparedManifest.read(prepared).rows["train"])
        began = time.monotonic()
        runner.run(runner.entry(), metrics, nodes=nodes)
        seconds = time.monotonic() - began
        place.check_untouched()
        if nodes is not None and nodes.rank:
            return None
        assert config.code is not None
        export = find_export(place.model, config.code)
        progress.note(f"checking the model that the code left ({export.kind})")
        graph = export.path
        if export.kind == "safetensors":
            graph = runner.exported(export, prepared)
        return _write(
            config,
            export,
            graph,
            outputs=(graph.parent / OUTPUTS, place.model / OUTPUTS),
            prepared=prepared,
            out=out,
            history=metrics.history(resumed=resume),
            steps=metrics.steps,
            world=config.code.ray_workers or config.processes * (nodes.count if nodes else 1),
            seconds=round(seconds, 3),
        )


class _Runner:
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

    def exported(self, export: Export, prepared: Path) -> Path:
        """The graph of weights in safetensors, made by their factory in a process of its own. Raises StageError."""
        target = self._place.folder / "exported"
        target.mkdir()
        what = ("module", _EXPORT, str(export.path), str(prepared), str(target))
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


def _write(
    config: TrainConfig,
    export: Export,
    graph: Path,
    *,
    outputs: tuple[Path, ...],
    prepared: Path,
    out: Path,
    history: History,
    steps: int,
    world: int,
    seconds: float,
) -> ModelManifest:
    """The model's folder, once the graph has proved itself. `outputs`: where those of the user's own model may be."""
    from runwright_components.train.code.graph import adapt, parameters
    from runwright_components.train.code.parity import check_answers, difference

    source = PreparedManifest.read(prepared)
    output = output_of(source)
    with new_folder(out) as folder:
        tensors = adapt(graph, source.signature.tensors, output, folder / ONNX)
        check_answers(folder / ONNX, prepared, output)
        shutil.copytree(prepared / PREPROCESSING, folder / PREPROCESSING)
        if export.path.name == TENSORS:
            shutil.copyfile(export.path, folder / WEIGHTS)
        if (own := next((path for path in outputs if path.is_file()), None)) is not None:
            shutil.copyfile(own, folder / OUTPUTS)
            difference(folder, prepared)  # that it can be compared; the package stage judges how much it may be
        history.write(folder, HISTORY)
        files = folder_files(folder)
        manifest = ModelManifest(
            digest=model_digest(files),
            model=config.model,
            task=config.task,
            modality=config.modality,
            parameters=parameters(folder / ONNX),
            classes=len(source.signature.labels) or 1,
            categories=source.categories,
            vocabulary=source.vocabulary,
            steps=steps,
            best_epoch=history.best_epoch,
            precision="fp32",
            device="cuda" if Path("/dev/nvidia0").exists() else "cpu",
            world_size=world,
            seconds=seconds,
            files=files,
            signature=source.signature.model_copy(update={"tensors": tensors}),
            lineage=Lineage(
                stage="train",
                config=config.digest(),
                inputs={"prepared": source.digest},
                version=version("runwright"),
                parents=(source.lineage,),
            ),
        )
        manifest.write(folder)
    return manifest
