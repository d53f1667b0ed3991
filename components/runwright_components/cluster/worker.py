"""One pod of a training (`python -m runwright_components.cluster.worker`): a node with one or more processes.

It brings the prepared data and the newest checkpoints from storage, trains as on one machine, and keeps checkpoints,
progress and, at the end, the model in storage. Past one node, torchrun's static rendezvous at the Master joins the
pods, as the job's environment (the address of the Master, the node's rank) describes. Why it failed is left as the
container's termination message.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from runwright_components.cluster.ending import fault_of, leave_message, message
from runwright_components.cluster.manifests.fault import COLLECTIVE_TIMEOUT, LOG_LINES, Fault
from runwright_components.cluster.manifests.faults import lost_peer
from runwright_components.cluster.manifests.training_pod import PREPARED_ENV, TRAIN_ENV
from runwright_components.cluster.mirror import CheckpointMirror, Mirror, ProgressMirror, fetch_checkpoints
from runwright_components.cluster.own_checkpoints import OwnCheckpoints, fetch_own_checkpoint
from runwright_components.cluster.search.reports import TrialReports, leave_result
from runwright_components.cluster.search_mirror import SearchMirror, fetch_search
from runwright_components.cluster.storage import CHECKPOINTS, MODEL, RAY, Place, fetch_folder, place, store_folder
from runwright_components.contract.cluster import CLUSTER_ENV, ClusterRun, StageFault
from runwright_components.contract.config import TrainConfig, parse
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress


@dataclass(frozen=True)
class Node:
    """This pod among the others of the job."""

    count: int
    rank: int
    rendezvous: str  # host:port of the Master

    @classmethod
    def of(cls, environment: Mapping[str, str], count: int) -> Node:
        """Raises StageError (InvalidConfig) when the environment of the job's controller is not there: the training
        operator names the master in MASTER_*, Trainer in PET_MASTER_*."""
        if count == 1:
            return cls(1, 0, "")
        try:
            rank = int(environment.get("PET_NODE_RANK") or environment["RANK"])
            host, port = (
                environment.get(f"PET_{name}") or environment[name] for name in ("MASTER_ADDR", "MASTER_PORT")
            )
            return cls(count, rank, f"{host}:{int(port)}")
        except (KeyError, ValueError) as error:
            raise StageError(
                Reason.INVALID_CONFIG,
                f"the pod does not know its place among the {count} nodes: {error}",
                cure="run it as a pod of a PyTorchJob or of a TrainJob",
            ) from error

    @property
    def main(self) -> bool:
        return self.rank == 0


def main() -> int:
    """Train as this pod's part of the job. Returns the exit code."""
    signal.signal(signal.SIGTERM, _stop)  # process 1 of a container has no default handler
    return leaving_words(_work_as_told)


def _work_as_told() -> None:
    run: ClusterRun = parse(ClusterRun, os.environ.get(CLUSTER_ENV, ""))
    given: TrainConfig = parse(TrainConfig, os.environ.get(TRAIN_ENV, ""))
    with tempfile.TemporaryDirectory(prefix="runwright-") as folder:
        work(run, given, prepared_uri=os.environ.get(PREPARED_ENV, ""), folder=Path(folder))


def leaving_words(do: Callable[[], None]) -> int:
    """Do a container's work; why it failed is left as its termination message. Returns the exit code."""
    try:
        do()
    except BaseException as error:  # noqa: BLE001 (whatever it is, the pod's status must tell)
        trace = "".join(traceback.format_exception(error))
        failure = as_failure(error)
        print(trace if failure.reason is Reason.INTERNAL else f"error: {failure}", file=sys.stderr, flush=True)  # noqa: T201
        words = last_words(failure, trace)
        leave_message(words)
        if os.environ.get("RAY_ADDRESS"):  # Ray tells the last lines of a program, not its termination message
            print(message(words).decode(), flush=True)  # noqa: T201
        return failure.exit_code
    return 0


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def work(run: ClusterRun, given: TrainConfig, *, prepared_uri: str, folder: Path) -> None:
    """Train in `folder`. Raises StageError."""
    ray = run.job.backend == "rayjob"
    node = Node.of(os.environ, 1 if ray else run.job.nodes)  # Ray's own head is the only one that runs us
    config = as_ray_program(given, run) if ray else given.model_copy(update={"processes": run.job.processes_per_node})
    config = config.model_copy(update={"max_restarts": 0})
    storage = place(run.storage)
    prepared, checkpoints, out = folder / "prepared", folder / "checkpoints", folder / "model"
    fetch_folder(place(run.storage, prepared_uri), prepared)
    resume = _fetch_state(config)(storage.under(CHECKPOINTS), checkpoints)
    began = time.monotonic()
    told_by = ProgressMirror if run.trial is None else TrialReports
    with told_by(storage, enabled=node.main) as told, _kept(storage, checkpoints, config, node):
        progress = Progress("train", sink=told)
        if node.count == 1:
            from runwright_components.train import train

            train(config, prepared=prepared, out=out, checkpoints=checkpoints, resume=resume, progress=progress)
        else:
            _among_nodes(config, node, run, prepared, out, checkpoints, resume, progress)
    if node.main:
        store_folder(out, storage.under(MODEL))
        if run.trial is not None:
            leave_result(out, prepared, storage, metric=run.trial.metric, seconds=time.monotonic() - began)


def as_ray_program(given: TrainConfig, run: ClusterRun) -> TrainConfig:
    """The configuration of a program that has Ray start the workers of all nodes; past one node, Ray keeps their
    checkpoints in storage, where each finds them."""
    if given.code is None:
        raise StageError(
            Reason.INVALID_CONFIG,
            "a RayJob runs the user's own code, and there is none",
            where="train.backend",
            cure="give train.code, or use `backend: pytorchjob`",
        )
    storage = f"{run.storage.uri}/{RAY}" if run.job.nodes > 1 else None
    workers = run.job.nodes * run.job.processes_per_node
    code = given.code.model_copy(update={"ray_workers": workers, "ray_storage": storage})
    return given.model_copy(update={"processes": 1, "code": code})


def _fetch_state(config: TrainConfig) -> Callable[[Place, Path], bool]:
    """What brings a training's newest state from storage, and tells whether there is one."""
    if config.tune is not None:
        return fetch_search
    return fetch_checkpoints if config.code is None else fetch_own_checkpoint


def _kept(storage: Place, checkpoints: Path, config: TrainConfig, node: Node) -> Mirror:
    if config.tune is not None:
        return SearchMirror(checkpoints, storage.under(CHECKPOINTS))
    if config.code is not None:
        there = storage.under(CHECKPOINTS)
        return OwnCheckpoints(checkpoints, there, keep=config.checkpoint_keep, enabled=node.main)
    return CheckpointMirror(
        checkpoints,
        storage.under(CHECKPOINTS),
        keep=config.checkpoint_keep,
        keep_every=config.checkpoint_keep_every,
        main=node.main,
    )


def _among_nodes(
    config: TrainConfig,
    node: Node,
    run: ClusterRun,
    prepared: Path,
    out: Path,
    checkpoints: Path,
    resume: bool,
    progress: Progress,
) -> None:
    from runwright_components.train.agent import run_agent
    from runwright_components.train.job import Job, Nodes

    nodes = Nodes(count=node.count, rank=node.rank, rendezvous=node.rendezvous, job=run.job_name)
    if config.code is not None:
        from runwright_components.train.code import train_code

        train_code(
            config,
            prepared=prepared,
            out=out,
            checkpoints=checkpoints,
            resume=resume,
            progress=progress,
            nodes=nodes,
        )
        return
    job = Job(
        config=config,
        prepared=str(prepared),
        out=str(out),
        checkpoints=str(checkpoints),
        resume=resume,
        stage=progress.stage,
        nodes=nodes,
    )
    run_agent(job, progress)


def as_failure(error: BaseException) -> StageError:
    """The failure that the step will read, for any exception."""
    if isinstance(error, StageError):
        return error
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return StageError(Reason.CANCELLED, "training was asked to stop")
    return StageError(Reason.INTERNAL, f"{type(error).__name__}: {error}", cure="please report it with the log")


def last_words(failure: StageError, trace: str) -> StageFault:
    """The termination message. A rank that lost its peers says so: the cause is in another pod."""
    log = tuple(trace.splitlines()[-LOG_LINES:]) if failure.reason is Reason.INTERNAL else ()
    if failure.reason in (Reason.INTERNAL, Reason.WORKER_FAILED) and lost_peer(failure.message):
        return Fault(COLLECTIVE_TIMEOUT, failure.message, log=log).record()
    return fault_of(failure, log=log)


if __name__ == "__main__":
    sys.exit(main())
