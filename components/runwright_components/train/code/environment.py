"""What of the surrounding environment user code may see: what a computation needs, and nothing that may be secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runwright_components.contract.config import CodeConfig
from runwright_components.train.code.on_ray import BEGINNING, ray_defaults

_NAMES = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "TMPDIR",
    "HOSTNAME",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_DATASETS_CACHE",
    "TRANSFORMERS_OFFLINE",
    "TOKENIZERS_PARALLELISM",
    "KERAS_BACKEND",
    "KERAS_HOME",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
}
_BEGINNINGS = (
    "LC_",
    "PYTHON",
    "CONDA",
    "XDG_",
    "CUDA",
    "NVIDIA_",
    "NCCL_",
    "GLOO_",
    "ROCR_",
    "HIP_",
    "TORCH",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "KMP_",
    "GOMP_",
    "NUMEXPR_",
    "PET_",
)


def environment_of(surrounding: Mapping[str, str], code: CodeConfig, contract: Mapping[str, str]) -> dict[str, str]:
    """The environment of user code: what is harmless, what it asked for by name, its own values, and the contract."""
    beginnings = _BEGINNINGS if code.ray_workers is None else (*_BEGINNINGS, BEGINNING)
    seen = {
        name: value
        for name, value in surrounding.items()
        if name in _NAMES or name.startswith(beginnings) or name in code.pass_env
    }
    here = str(Path(sys.executable).parent)  # so that `python` in a command is this one, with its packages
    seen["PATH"] = os.pathsep.join((here, seen["PATH"])) if "PATH" in seen else here
    return {"PYTHONUNBUFFERED": "1", **ray_defaults(code), **seen, **code.env, **contract}
