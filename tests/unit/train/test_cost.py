"""What a training costs: sums over steps, processes and restarts."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from runwright_components.contract.artifacts import COST, Cost, ModelManifest
from runwright_components.contract.config import ModelConfig, TrainConfig
from runwright_components.contract.progress import Event, Progress
from runwright_components.train import train
from runwright_components.train.cost import CostMeter, Ledger, Work
from runwright_components.train.estimate import Estimate
from runwright_components.train.gpus import EnergyMeter, peak_flops
from runwright_components.train.ranks import Ranks

CPU = torch.device("cpu")
ONE = Ranks(0, 1, CPU)


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


def meter(
    folder: Path, hand: Hand, *, ranks: Ranks = ONE, resume: bool = False, flops: float | None = 6.0
) -> CostMeter:
    return CostMeter(folder, ranks, Work(flops), resume=resume, clock=hand)


def work(meter: CostMeter, hand: Hand, *, seconds: float, rows: int) -> None:
    meter.begin()
    meter.count({"numeric": torch.zeros(rows, 3)}, torch.zeros(rows))
    hand.now += seconds
    meter.end()


def test_throughput_is_over_the_time_of_steps(tmp_path: Path, hand: Hand) -> None:
    found = meter(tmp_path, hand)
    work(found, hand, seconds=2.0, rows=100)
    hand.now += 3.0  # validation
    work(found, hand, seconds=2.0, rows=100)
    cost = found.total()
    assert (cost.seconds, cost.samples, cost.samples_per_second) == (7.0, 200, 50.0)
    assert cost.flops == 200 * 6.0
    assert (cost.gpu_seconds, cost.mfu, cost.energy_joules, cost.peak_gpu_bytes) == (0.0, None, None, None)
    assert cost.peak_host_bytes > 2**20
    assert cost.restarts == 0


def test_texts_count_tokens_with_padding(tmp_path: Path, hand: Hand) -> None:
    sample = {"input_ids": torch.zeros(4, 8, dtype=torch.int64)}
    found = CostMeter(tmp_path, ONE, Work.of(Estimate(flops=640, activations=0), sample), resume=False, clock=hand)
    found.begin()
    found.count({"input_ids": torch.zeros(2, 5, dtype=torch.int64)}, torch.zeros(2))
    hand.now = 2.0
    found.end()
    cost = found.total()
    assert (cost.samples, cost.tokens, cost.tokens_per_second, cost.flops) == (2, 10, 5.0, 10 * 640 / 32)


def test_a_restart_goes_on_counting_and_a_new_training_begins_at_nothing(tmp_path: Path, hand: Hand) -> None:
    killed = meter(tmp_path, hand)
    work(killed, hand, seconds=2.0, rows=100)
    killed.keep(now=True)
    work(killed, hand, seconds=1.0, rows=100)  # this is lost: the process is killed before it is kept
    again = meter(tmp_path, hand, resume=True)
    work(again, hand, seconds=4.0, rows=50)
    cost = again.total()
    assert (cost.seconds, cost.samples, cost.restarts) == (6.0, 150, 1)
    assert cost.samples_per_second == 150 / 6
    assert meter(tmp_path, hand).total().samples == 0


def test_a_ledger_that_a_kill_cut_short_counts_as_none(tmp_path: Path, hand: Hand) -> None:
    (tmp_path / COST).write_text("{")
    assert meter(tmp_path, hand, resume=True).total().restarts == 0


def test_the_ledger_is_kept_every_few_seconds_by_rank_0_for_all(tmp_path: Path, hand: Hand) -> None:
    second = Ranks(1, 2, CPU)
    work(meter(tmp_path, hand, ranks=second), hand, seconds=9.0, rows=1)
    found = meter(tmp_path, hand, ranks=second)
    found.keep(now=True)
    assert not (tmp_path / COST).exists()
    main = meter(tmp_path, hand, ranks=Ranks(0, 2, CPU))
    work(main, hand, seconds=1.0, rows=10)
    main.keep()
    assert not (tmp_path / COST).exists()
    hand.now += 5.0
    main.keep()
    ledger = Ledger.read(tmp_path, COST)
    assert (ledger.samples, ledger.seconds, ledger.flops) == (20.0, 6.0, 120.0)


def test_a_full_disk_costs_the_ledger_alone(tmp_path: Path, hand: Hand) -> None:
    (tmp_path / "file").write_text("")
    meter(tmp_path / "file", hand).keep(now=True)


def test_peaks_are_compared_and_the_rest_is_summed() -> None:
    both = Ledger(starts=1, seconds=2.0, peak_host=5.0).after(Ledger(starts=1, seconds=3.0, peak_host=4.0))
    assert (both.starts, both.seconds, both.peak_host) == (2, 5.0, 5.0)


def test_a_training_tells_its_cost(config: TrainConfig, tables: Path, progress: Progress, events: list[Event]) -> None:
    config = config.model_copy(update={"model": ModelConfig(name="mlp", hidden=(16,))})
    out = tables.parent / "model"
    manifest = train(
        config, prepared=tables, out=out, checkpoints=tables.parent / "checkpoints", resume=False, progress=progress
    )
    cost = ModelManifest.read(out).cost
    assert cost == manifest.cost
    assert isinstance(cost, Cost)
    assert (cost.samples, cost.processes, cost.restarts) == (4 * 240, 1, 0)
    assert cost.samples_per_second > 0
    assert cost.flops is not None
    assert cost.seconds >= manifest.seconds > 0


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756.0),
        ("NVIDIA H100 PCIe", "fp8", 1512.0),
        ("NVIDIA A100-SXM4-80GB", "fp32", 19.5),
        ("NVIDIA A10G", "fp16", 70.0),
        ("NVIDIA L40S", "bf16", 362.1),
        ("NVIDIA L4", "bf16", 121.0),
        ("Tesla T4", "fp16", 65.0),
    ],
)
def test_the_peak_is_found_by_the_drivers_name(name: str, precision: str, tera: float) -> None:
    assert peak_flops(name, precision) == tera * 1e12


def test_an_unknown_gpu_has_no_peak() -> None:
    assert peak_flops("Some GPU 9000", "bf16") is None


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """NVML's interface over a counter in millijoules, as a machine without a GPU has no driver to ask."""
    counter = [1000.0]
    module = ModuleType("pynvml")
    module.NVMLError = type("NVMLError", (Exception,), {})  # type: ignore[attr-defined]
    module.nvmlInit = lambda: None  # type: ignore[attr-defined]
    module.nvmlDeviceGetHandleByUUID = lambda identity: identity  # type: ignore[attr-defined]
    module.nvmlDeviceGetTotalEnergyConsumption = lambda handle: {"GPU-42": counter[0]}[handle]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(uuid="42"))
    return counter


def test_energy_is_the_difference_of_the_gpus_counter(nvml: list[float]) -> None:
    found = EnergyMeter(torch.device("cuda"))
    nvml[0] += 2500.0
    assert found.joules() == 2.5


def test_without_nvml_no_energy_is_told() -> None:
    assert EnergyMeter(CPU).joules() is None
