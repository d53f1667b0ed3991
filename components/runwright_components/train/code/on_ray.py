"""User code written for Ray Train: one program, which has Ray start as many workers as the TrainingRun asks for.

On one machine `ray.init()` starts a Ray of its own, which ends with the program; in a cluster the program runs on the
head of a RayJob, whose variables lead it to that Ray.
"""

from __future__ import annotations

from runwright_components.contract.config import CodeConfig

WORKERS = "RUNWRIGHT_RAY_WORKERS"
STORAGE = "RUNWRIGHT_RAY_STORAGE"
BEGINNING = "RAY_"  # of the variables by which Ray finds its cluster and shows its token
_DEFAULTS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def ray_variables(code: CodeConfig, checkpoints: str) -> dict[str, str]:
    """What such code gets beside the contract's other variables; nothing where it is not for Ray.

    `checkpoints` is the folder that outlives the training, in which Ray may keep its own where there is one machine.
    """
    if code.ray_workers is None:
        return {}
    return {WORKERS: str(code.ray_workers), STORAGE: code.ray_storage or checkpoints}


def ray_defaults(code: CodeConfig) -> dict[str, str]:
    """Settings of Ray that the surrounding environment may overrule: it tells nobody of its use, and leaves a machine's
    GPUs to tasks that ask for none."""
    return {} if code.ray_workers is None else dict(_DEFAULTS)
