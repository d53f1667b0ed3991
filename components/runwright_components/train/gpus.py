"""What GPUs could compute, and the energy that they took."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

# Dense tensor-core TFLOP/s in bf16 (V100 and T4, which lack it: fp16) and in fp32 without TF32, by a part of the name
# that the driver gives; more telling parts come first. From NVIDIA's data sheets and architecture white papers (Volta
# 2017, Turing 2018, Ampere GA100 2020 and GA102 2021, Ada 2023, Hopper H100 2023 and H200 2024, Blackwell 2025), where
# figures with sparsity are halved. In fp8, those that have it reach twice as much as in bf16.
_PEAKS = (
    ("B200", 2250.0, 75.0),
    ("H200", 989.4, 66.9),
    ("H100 NVL", 835.5, 60.0),
    ("H100 PCIe", 756.0, 51.2),
    ("H100", 989.4, 66.9),
    ("A100", 312.0, 19.5),
    ("A40", 149.7, 37.4),
    ("A30", 165.0, 10.3),
    ("A10G", 70.0, 35.0),
    ("A10", 125.0, 31.2),
    ("L40S", 362.1, 91.6),
    ("L40", 181.1, 90.5),
    ("L4", 121.0, 30.3),
    ("RTX 6000 Ada", 364.2, 91.1),
    ("RTX A6000", 154.8, 38.7),
    ("RTX 4090", 165.2, 82.6),
    ("RTX 3090", 71.0, 35.6),
    ("V100", 125.0, 15.7),
    ("T4", 65.0, 8.1),
)


def peak_flops(name: str, precision: str) -> float | None:
    """FLOP/s that a GPU of this name reaches at most in a precision; None for one that is not in the table."""
    for part, half, single in _PEAKS:
        if part in name:
            return {"fp32": single, "fp8": 2 * half}.get(precision, half) * 1e12
    return None


class EnergyMeter:
    """Joules that a GPU took since this meter was made, by NVML's counter; None where the device does not tell."""

    def __init__(self, device: torch.device) -> None:
        self._gpu = _nvml_gpu(device) if device.type == "cuda" else None
        self._start = self._counter()

    def joules(self) -> float | None:
        now = self._counter()
        return None if now is None or self._start is None else now - self._start

    def _counter(self) -> float | None:
        if self._gpu is None:
            return None
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):  # before Volta there is no counter
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1000
        return None


def _nvml_gpu(device: torch.device) -> Any:
    """NVML's handle of the GPU; None without NVML. By its identity: torch may see but some of the machine's GPUs."""
    with contextlib.suppress(ImportError):
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    return None
