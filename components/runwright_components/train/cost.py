"""What a training costs: time, memory, throughput, utilization and energy, with what its restarts cost.

The ledger lies beside the checkpoints, so that work that a kill undid is counted, too.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from runwright_components.contract.artifacts import COST, Cost, Document
from runwright_components.contract.outcome import StageError
from runwright_components.train.data import Inputs
from runwright_components.train.estimate import Estimate
from runwright_components.train.gpus import EnergyMeter, peak_flops
from runwright_components.train.ranks import Ranks

KEEP_SECONDS = 5.0


class Ledger(Document):
    """Sums over the processes and the starts of a training; peaks are of the process that took most."""

    starts: int = 0
    seconds: float = 0.0  # of the training, from a process's start to its end
    step_seconds: float = 0.0  # of it, in steps
    gpu_seconds: float = 0.0
    gpu_step_seconds: float = 0.0
    cpu_seconds: float = 0.0
    samples: float = 0.0
    tokens: float = 0.0
    flops: float = 0.0
    joules: float = 0.0
    peak_gpu: float = 0.0
    peak_host: float = 0.0

    def after(self, later: Ledger) -> Ledger:
        """This ledger with what a later start added."""
        both = {name: (getattr(self, name), getattr(later, name)) for name in Ledger.model_fields}
        return Ledger(**{name: max(pair) if name in _PEAKS else sum(pair) for name, pair in both.items()})


_PEAKS = ("peak_gpu", "peak_host")
_SUMS = ("gpu_seconds", "gpu_step_seconds", "cpu_seconds", "samples", "tokens", "flops", "joules")  # over processes


@dataclass(frozen=True)
class Work:
    """Model FLOPs of a row, or of a token where inputs are texts; None where they could not be counted."""

    flops: float | None = None

    @classmethod
    def of(cls, costs: Estimate | None, sample: Inputs) -> Work:
        return cls(costs.flops / _units(sample) if costs else None)


def tokens_of(inputs: Inputs) -> int:
    """Tokens of a batch of texts, padding included; 0 for other inputs. Reads shapes alone: a GPU is not waited for."""
    return inputs["input_ids"].numel() if "input_ids" in inputs else 0


def _units(inputs: Inputs) -> int:
    return tokens_of(inputs) or len(next(iter(inputs.values())))


class CostMeter:
    """Counts this process's work from its making on; `folder` is the checkpoints'."""

    def __init__(
        self,
        folder: Path,
        ranks: Ranks,
        work: Work,
        *,
        resume: bool,
        precision: str = "fp32",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ranks = ranks
        self._path = folder
        self._work = work
        self._precision = precision
        self._clock = clock
        self._start = clock()
        self._cpu_start = time.process_time()
        self._kept_at = self._start
        self._stepping: float | None = None
        self._step_seconds = 0.0
        self._samples = self._tokens = 0
        self._energy = EnergyMeter(ranks.device)
        self._before = _read(folder) if resume else Ledger()

    # -------------------------------------------------------- counting

    def begin(self) -> None:
        """Steps follow."""
        self._stepping = self._clock()

    def end(self) -> None:
        """The steps are over for now: validation, checkpoints and the like follow."""
        if self._stepping is not None:
            self._step_seconds += self._clock() - self._stepping
            self._stepping = None

    def count(self, inputs: Inputs, target: Tensor) -> None:
        """A micro-batch of this rank was computed."""
        self._samples += len(target)
        self._tokens += tokens_of(inputs)

    def figures(self) -> dict[str, float]:
        """What progress tells, by rank 0's count: gpu_seconds, tokens_per_second and mfu where they are known."""
        cost = self._cost(self._before.after(self._estimated()))
        told = {"gpu_seconds": cost.gpu_seconds, "tokens_per_second": cost.tokens_per_second, "mfu": cost.mfu}
        return {name: figure for name, figure in told.items() if figure}

    def keep(self, *, now: bool = False) -> None:
        """Rank 0 writes the ledger, at most every few seconds; other ranks are taken to have done what it did."""
        if not self.ranks.main or (not now and self._clock() - self._kept_at < KEEP_SECONDS):
            return
        self._kept_at = self._clock()
        with contextlib.suppress(OSError):  # a figure less; a full disk is the checkpoints' to tell
            self._before.after(self._estimated()).write(self._path, COST)

    def total(self) -> Cost:
        """The whole training's cost; every rank calls."""
        own = self._own().model_dump()
        rows = self.ranks.gather(torch.tensor([float(figure) for figure in own.values()], dtype=torch.float64))
        columns = dict(zip(own, torch.stack(rows).T, strict=True))
        spent = {name: float(column.sum() if name in _SUMS else column.max()) for name, column in columns.items()}
        return self._cost(self._before.after(Ledger.model_validate(spent)))

    # -------------------------------------------------------- sums

    def _own(self) -> Ledger:
        """Of this process since its start."""
        stepping = 0.0 if self._stepping is None else self._clock() - self._stepping
        per_unit = self._work.flops or 0.0
        sharing = self.ranks.tensor  # as many count the same rows, and each computes its part of them
        gpus = int(self.ranks.device.type == "cuda")
        seconds, step_seconds = self._clock() - self._start, self._step_seconds + stepping
        return Ledger(
            starts=1,
            seconds=seconds,
            step_seconds=step_seconds,
            gpu_seconds=gpus * seconds,
            gpu_step_seconds=gpus * step_seconds,
            cpu_seconds=time.process_time() - self._cpu_start,
            samples=self._samples / sharing,
            tokens=self._tokens / sharing,
            flops=per_unit * (self._tokens or self._samples) / sharing,
            joules=self._energy.joules() or 0.0,
            peak_gpu=float(torch.cuda.max_memory_allocated(self.ranks.device)) if gpus else 0.0,
            peak_host=float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * _RSS_UNIT,
        )

    def _estimated(self) -> Ledger:
        """Of all processes since their start, as if each had done what this one did."""
        own = self._own()
        return own.model_copy(update={name: getattr(own, name) * self.ranks.world for name in _SUMS})

    def _cost(self, ledger: Ledger) -> Cost:
        device = self.ranks.device
        peak = peak_flops(torch.cuda.get_device_name(device), self._precision) if device.type == "cuda" else None
        stepping = max(ledger.step_seconds, 1e-9)
        return Cost(
            seconds=ledger.seconds,
            gpu_seconds=ledger.gpu_seconds,
            cpu_seconds=ledger.cpu_seconds,
            restarts=max(0, ledger.starts - 1),
            processes=self.ranks.world,
            samples=int(ledger.samples),
            samples_per_second=ledger.samples / stepping,
            tokens=int(ledger.tokens),
            tokens_per_second=ledger.tokens / stepping,
            flops=ledger.flops or None,
            mfu=ledger.flops / (ledger.gpu_step_seconds * peak) if peak and ledger.flops else None,
            peak_gpu_bytes=int(ledger.peak_gpu) or None,
            peak_host_bytes=int(ledger.peak_host),
            energy_joules=ledger.joules or None,
        )


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB here


def _read(folder: Path) -> Ledger:
    try:
        return Ledger.read(folder, COST)
    except StageError:  # none was written, or a kill cut it short
        return Ledger()
