"""What is known of an environment: the fields of an observation, the actions, and the files that make it."""

from __future__ import annotations

from typing import Literal

from runwright_components.contract.artifacts import Document
from runwright_components.contract.config import EnvironmentConfig

ENVIRONMENT = "environment.json"
FILES = "environment"  # folder of the user's files beside it


class Observation(Document):
    """A field for each entry of an observation, in C order. `sizes`: 0 for a number, n for a code from 0 to n - 1."""

    shape: tuple[int, ...]
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def width(self) -> int:
        """Inputs of a network: one a number, n a code."""
        return sum(size or 1 for size in self.sizes)


class Actions(Document):
    """What can be done. `choice`: one of n; `choices`: one of n for each of several; `switches`: each on or off;
    `numbers`: each between `low` and `high`, None where there is no bound. `starts` are the numbers of the first
    choices; a policy counts from 0."""

    kind: Literal["choice", "choices", "switches", "numbers"]
    shape: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()

    @property
    def bounded(self) -> bool:
        return None not in (*self.low, *self.high)

    @property
    def outputs(self) -> int:
        """Outputs of a policy's last layer."""
        return len(self.low) if self.kind == "numbers" else sum(self.sizes)


class EnvironmentDocument(Document):
    """`environment.json`: how to make the environment again, and what it is."""

    config: EnvironmentConfig
    observation: Observation
    actions: Actions
    max_steps: int
    reward_threshold: float | None = None
    gymnasium: str = ""  # its version
