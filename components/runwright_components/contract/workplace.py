"""Where the user's own training code finds and leaves things: docs/own-code.md in code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESUME_ENV = "RUNWRIGHT_RESUME"


@dataclass(frozen=True)
class Places:
    """The folders of one training. `checkpoints` outlives it; `resume`: there may be some to go on from."""

    folder: Path
    checkpoints: Path
    resume: bool

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def variables(self) -> dict[str, str]:
        """The contract's environment variables."""
        return {
            "RUNWRIGHT_DATA": str(self.data),
            "RUNWRIGHT_CHECKPOINTS": str(self.checkpoints),
            "RUNWRIGHT_MODEL": str(self.model),
            "RUNWRIGHT_METRICS": str(self.metrics),
            "RUNWRIGHT_CONFIG": str(self.config),
            RESUME_ENV: "1" if self.resume else "0",
        }
