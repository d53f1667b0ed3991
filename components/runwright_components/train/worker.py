"""One process of a training, alone or as a rank under torchrun's elastic agent (`python -m ...train.worker JOB`)."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path

from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress, file_sink
from runwright_components.train.job import EVENTS, JOB, Failure, Job, leave_failure, read_failures
from runwright_components.train.signals import StopSignal, die_with_parent, name_process
from runwright_components.train.watchdog import STACKS, Hang, Watchdog, clear_stacks

LAST_LINES = 12
NAME = "train-rank-"
LOST_SECONDS = 2.0  # who lost a peer lets the agent see first that this has ended, and by which signal

_LOST = re.compile(
    r"closed by peer|reset by peer|connection (?:was )?(?:closed|reset|refused)|broken pipe", re.IGNORECASE
)

# CANCELLED: the agent stops the other workers when one has failed.
_MENDABLE = (Reason.WORKER_FAILED, Reason.INTERNAL, Reason.STORAGE_FULL, Reason.COLLECTIVE_TIMEOUT, Reason.CANCELLED)


def main(folder: Path) -> int:
    """Run this rank of the job in `folder`; a failure is left there as JSON. Returns the exit code."""
    die_with_parent()
    rank = int(os.environ["RANK"])
    name_process(f"{NAME}{rank}")
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    final = next((failure for failure in read_failures(folder) if is_final(failure)), None)
    if final is not None:  # the agent starts all workers again, knowing nothing of what a restart cannot mend
        leave_failure(folder, final.model_copy(update={"attempt": attempt}))
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            os.kill(os.getppid(), signal.SIGTERM)
        return int(StageError(Reason(final.reason), "").exit_code)
    with StopSignal() as stop:
        try:
            from runwright_components.train import session
            from runwright_components.train.ranks import join, leave

            job = Job.read(folder, JOB)
            stacks = Path(job.checkpoints) / STACKS
            if int(os.environ.get("LOCAL_RANK", "0")) == 0:
                clear_stacks(stacks)
            progress = Progress(job.stage, sink=file_sink(folder / EVENTS), interval=0.0)
            if attempt and rank == 0:
                progress.warning(_again(read_failures(folder), attempt, job.config.max_restarts))
            ranks = join(job.config)
            seconds = job.config.collective_timeout
            peers = range(rank - ranks.local, rank - ranks.local + ranks.neighbours)
            hang = Hang(stacks, rank, peers, seconds, lambda error: _leave(folder, rank, attempt, error))
            resumed = job.model_copy(update={"resume": job.resume or attempt > 0})
            session.run(resumed, ranks, stop, progress, Watchdog(seconds, hang))
            leave()
        except StageError as error:
            return _leave(folder, rank, attempt, error)
        except Exception as error:  # noqa: BLE001 (whatever it is, the stage must hear of it)
            code = _leave(folder, rank, attempt, unexpected(error))
            if _LOST.search(str(error)):
                time.sleep(LOST_SECONDS)
            return code
    return 0


def _again(failures: list[Failure], attempt: int, restarts: int) -> str:
    """What is said when all workers start again."""
    first = next((failure for failure in failures if failure.attempt == attempt - 1), None)
    why = "a process was killed" if first is None else f"rank {first.rank} failed: {first.message.splitlines()[0]}"
    return f"{why}; all start again from the newest checkpoint ({attempt} of {restarts} restarts)"


def is_final(failure: Failure) -> bool:
    """Whether a restart would meet the same failure again."""
    return Reason(failure.reason) not in _MENDABLE


def unexpected(error: Exception) -> StageError:
    """An exception that nobody foresaw, with the last lines of its traceback."""
    lines = traceback.format_exception(error)
    last = "".join(lines).rstrip().splitlines()[-LAST_LINES:]
    return StageError(
        Reason.INTERNAL,
        f"{type(error).__name__}: {error}\n" + "\n".join(last),
        cure="this is a defect, or the prepared data was altered; run prepare again, and report it if it stays",
    )


def _leave(folder: Path, rank: int, attempt: int, error: StageError) -> int:
    """Leave the failure for the stage; returns the exit code."""
    failure = Failure(rank=rank, attempt=attempt, time=time.time(), **{**error.as_dict(), "reason": str(error.reason)})
    leave_failure(folder, failure)
    return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
