"""torchrun's elastic agent over several processes of user code (`python -m ...train.code.launch FOLDER`)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from runwright_components.contract.artifacts import Document
from runwright_components.contract.outcome import ExitCode
from runwright_components.train.job import AGENT_FAILURE, JOB, Death, Deaths, Nodes
from runwright_components.train.launch import STOP_SECONDS, rendezvous
from runwright_components.train.signals import die_with_parent


class CodeJob(Document):
    """`arguments` of the Python interpreter, the same for every process."""

    arguments: tuple[str, ...]
    processes: int
    nodes: Nodes | None = None


def main(folder: Path) -> int:
    """Run the processes until they end; how they died is left in `folder` as JSON. Returns the exit code.

    What they print goes where this process prints, so that the stage sees all of it and bounds it.
    """
    die_with_parent()
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    job = CodeJob.read(folder, JOB)
    launch = LaunchConfig(
        **rendezvous(job.nodes),
        nproc_per_node=job.processes,
        max_restarts=0,
        monitor_interval=0.1,
        shutdown_timeout=STOP_SECONDS,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs")),
    )
    try:
        launch_agent(launch, sys.executable, list(job.arguments))
    except ChildFailedError as error:
        deaths = tuple(
            Death(
                rank=rank,
                exit_code=failure.exitcode,
                signal=failure.signal_name() if failure.exitcode < 0 else "",
                time=failure.timestamp,
            )
            for rank, failure in sorted(error.failures.items())
        )
        Deaths(workers=deaths).write(folder, AGENT_FAILURE)
        return int(ExitCode.INTERNAL)
    except SignalException:
        return int(ExitCode.CANCELLED)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
