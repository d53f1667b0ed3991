"""torchrun's elastic agent as a child of the train stage (`python -m ...train.launch FOLDER`)."""

from __future__ import annotations

import contextlib
import logging
import sys
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

from runwright_components.contract.outcome import ExitCode, StageError
from runwright_components.train.job import AGENT_FAILURE, JOB, Death, Deaths, Job, Nodes
from runwright_components.train.signals import die_with_parent

LOG_LINES = 12
STOP_SECONDS = 30  # for workers to write a checkpoint
JOIN_SECONDS = 900  # for the other nodes' pods to start

# Making an optimizer or DistributedDataParallel loads torch._dynamo: 2.5 seconds of a processor.
_LOADED = ("torch._dynamo", "runwright_components.train.session", "runwright_components.train.worker")
_LOADED_FOR_SHARDS = ("torch.distributed.fsdp", "runwright_components.train.sharded")


def main(folder: Path) -> int:
    """Run the job's workers until they end; how they died is left in `folder` as JSON. Returns the exit code."""
    die_with_parent()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    job = Job.read(folder, JOB)
    config = job.config
    launch = LaunchConfig(
        **rendezvous(job.nodes),
        nproc_per_node=config.processes,
        max_restarts=config.max_restarts,
        monitor_interval=0.1,
        shutdown_timeout=STOP_SECONDS,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs"), redirects=Std.ALL),
        start_method="fork",
    )
    if not job.resume:
        begin_anew(Path(job.checkpoints))
    try:
        if has_gpus():  # what a driver's library keeps in a process does not survive a fork
            launch_agent(launch, sys.executable, ["-m", "runwright_components.train.worker", str(folder)])
        else:
            _import_once(job)
            launch_agent(launch, _worker, [str(folder)])
    except ChildFailedError as error:
        deaths = tuple(
            Death(
                rank=rank,
                exit_code=failure.exitcode,
                signal=failure.signal_name() if failure.exitcode < 0 else "",
                log=_last_lines(folder, failure.local_rank),
                time=failure.timestamp,
            )
            for rank, failure in sorted(error.failures.items())
        )
        Deaths(workers=deaths).write(folder, AGENT_FAILURE)
        return int(ExitCode.INTERNAL)
    except SignalException:
        return int(ExitCode.CANCELLED)
    return 0


def has_gpus() -> bool:
    """Whether the kernel knows a GPU; asked without loading a driver's library."""
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


def begin_anew(checkpoints: Path) -> None:
    """Remove old checkpoints before a worker starts: one that is killed early starts again to go on from the newest."""
    from runwright_components.train.checkpoints import CheckpointStore

    store = CheckpointStore(checkpoints, keep=1, warn=lambda _: None)
    with contextlib.suppress(StageError):  # the workers meet the same, and tell it
        store.open(resume=False)
    store.close()


def _import_once(job: Job) -> None:
    """Load here what each worker would load for itself at each of its starts, which takes it seconds."""
    shards = job.config.distributed.strategy == "fsdp" or job.config.distributed.tensor_parallel > 1
    for name in (*_LOADED, *(_LOADED_FOR_SHARDS if shards else ())):
        import_module(name)


def _worker(folder: str) -> None:
    """A worker as a fork of the agent."""
    from runwright_components.train.worker import main

    code = main(Path(folder))
    if code:
        sys.exit(code)


def rendezvous(nodes: Nodes | None) -> dict[str, Any]:
    """How the agents of all nodes find each other; with one node, each start has a port of its own."""
    if nodes is None:
        return {
            "min_nodes": 1,
            "max_nodes": 1,
            "run_id": uuid.uuid4().hex,
            "rdzv_backend": "c10d",
            "rdzv_endpoint": "127.0.0.1:0",
            "local_addr": "127.0.0.1",
        }
    return {
        "min_nodes": nodes.count,
        "max_nodes": nodes.count,
        "run_id": nodes.job,
        "rdzv_backend": "static",
        "rdzv_endpoint": nodes.rendezvous,
        "rdzv_configs": {"rank": nodes.rank, "timeout": JOIN_SECONDS},
    }


def _last_lines(folder: Path, local_rank: int) -> str:
    """The end of what the rank's latest start wrote to its standard error."""
    logs = sorted(folder.glob(f"logs/**/{local_rank}/stderr.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return ""
    return "\n".join(logs[-1].read_text(errors="replace").splitlines()[-LOG_LINES:])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
