"""Which files of the wheels are for NVIDIA GPUs alone. PyPI's torch is the CUDA build, so they come with it."""

from __future__ import annotations

import re

_NVIDIA = r"nvidia/"
_KEPT = r"nvidia/cu13/lib/lib(cudart|cupti)\.so"  # libtorch_cpu.so itself links to them; 7 MB
_DISTRIBUTIONS = r"(nvidia_|cuda_|triton-)[^/]*\.dist-info/"

PARTS = re.compile(
    "|".join(
        (
            rf"(?!{_KEPT}){_NVIDIA}",
            r"triton/",
            r"cuda/",
            # what torch opens only once it computes on a GPU
            r"torch/lib/lib(torch_cuda_linalg|caffe2_nvrtc)\.so$",
            _DISTRIBUTIONS,
        )
    )
)
OTHERS = re.compile(rf"(?!{PARTS.pattern})")
"""All that is not one of the parts."""

UNUSED = re.compile(
    "|".join(
        (
            # compiles kernels, for which it needs a C compiler
            r"triton/|triton-[^/]*\.dist-info/",
            # for who compiles against them, or profiles
            r"nvidia/.*\.bc$",
            r"nvidia/cu13/cccl/",
            r"nvidia/cu13/lib/lib(cusolverMg|nvperf_host|nvperf_target|pcsamplingutil|checkpoint|nvblas|cufftw)\.",
        )
    )
)
