"""Which files of the wheels are for NVIDIA GPUs alone, and how torch does without them.

PyPI's torch is the CUDA build: it is linked to NVIDIA's libraries and does not load without them, though on a CPU it
never calls them. Stand-ins of a few kilobytes take the place of 1.5 GB.
"""

from __future__ import annotations

import re
from pathlib import Path

from images import elf

PARTS = re.compile(
    "|".join(
        (
            # all of NVIDIA's, without what libtorch_cpu.so itself is linked to and calls (7 MB)
            r"nvidia/(?!cu13/lib/lib(cudart|cupti)\.so)",
            r"cuda/",
            # the compiler of kernels for GPUs
            r"triton/",
            # what torch opens only once it computes on a GPU
            r"torch/lib/lib(torch_cuda_linalg|caffe2_nvrtc)\.so$",
            r"(?!nvidia_cuda_(runtime|cupti)-)(nvidia_|cuda_|triton-)[^/]*\.dist-info/",
        )
    )
)
OTHERS = re.compile(rf"(?!{PARTS.pattern})")
"""All that is not one of the parts."""

UNUSED = re.compile(
    "|".join(
        (
            # it needs a C compiler to do anything, which no image has
            r"triton/|triton-[^/]*\.dist-info/",
            # for who compiles against them, measures kernels, or calls them from other programs than torch
            r"nvidia/.*\.bc$",
            r"nvidia/cu13/cccl/",
            r"nvidia/cu13/lib/lib(cusolverMg|nvperf_host|nvperf_target|pcsamplingutil|checkpoint|nvblas|cufftw)\.",
        )
    )
)

LINKED = (  # to torch's libraries, directly
    "nvidia/cu13/lib/libcublas.so.13",
    "nvidia/cu13/lib/libcublasLt.so.13",
    "nvidia/cu13/lib/libcufft.so.12",
    "nvidia/cu13/lib/libcufile.so.0",
    "nvidia/cu13/lib/libcusparse.so.12",
    "nvidia/cu13/lib/libnvrtc.so.13",
    "nvidia/cudnn/lib/libcudnn.so.9",
    "nvidia/cusparselt/lib/libcusparseLt.so.0",
    "nvidia/nccl/lib/libnccl.so.2",
    "nvidia/nvshmem/lib/libnvshmem_host.so.3",
)
MESSAGE = "This image computes on CPUs: it has no {}. Use the image train-cuda on GPUs."


def stand_ins(installed: Path, target: Path) -> None:
    """Write a stand-in for each linked library of the packages in `installed` to the same place in `target`."""
    for name in LINKED:
        library = elf.read(installed / name)
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(elf.stand_in(library, MESSAGE.format(library.soname)))
